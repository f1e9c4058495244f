"""What a job takes along: the grid, what it extends and names, and this package, nothing else."""

from pathlib import Path

import pytest

from pipeline.engine.jobs import packing
from pipeline.engine.jobs.packing import pack
from pipeline.experiment.errors import UserError
from pipeline.experiment.loading import load_all

BASE = """
model: lenet
seeds: [0]
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 2ep}
prune: {rate: 0.4, rounds: 2, rewind: 0it}
sources: [{dataset: digits}]
targets: same
"""
MODEL = "from pipeline.lottery.models.lenet import LeNet as Net\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A collection of two grids, one of which extends another and has a model beside it; and much else."""
    root = tmp_path / "project"
    for name, text in {
        "all.yaml": "experiments: [grids/one.yaml, grids/two.yaml]",
        "grids/one.yaml": "extends: ../common/base.yaml\nname: one\nmodel: ../models/net.py:Net\n",
        "grids/two.yaml": "extends: ../common/base.yaml\nname: two\n",
        "common/base.yaml": BASE,
        "models/net.py": MODEL,
        "models/other.py": MODEL,
        "data/huge.bin": "x" * 1000,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_only_what_the_grid_is_made_of_travels_with_its_folders(project: Path, tmp_path: Path) -> None:
    packed = pack(project / "all.yaml", [], tmp_path / "job", with_package=False)
    wanted = {"all.yaml", "grids/one.yaml", "grids/two.yaml", "common/base.yaml", "models/net.py"}
    assert files(packed.folder) == {f"grids/{name}" for name in wanted}
    assert (packed.grid, packed.files) == ("grids/all.yaml", 5)
    assert packed.bytes == sum((project / name).stat().st_size for name in wanted)
    name, specs = load_all(packed.folder / packed.grid)
    assert (name, [spec.name for spec in specs]) == ("all", ["one", "two"])


def test_the_paper_that_a_grid_names_travels_too(project: Path, tmp_path: Path) -> None:
    (project / "common/base.yaml").write_text(f"{BASE}analysis: {{paper: paper.yaml}}\n")
    (project / "common/paper.yaml").write_text("title: A paper\n")
    packed = pack(project / "grids" / "two.yaml", [], tmp_path / "job", with_package=False)
    assert files(packed.folder) == {"grids/grids/two.yaml", "grids/common/base.yaml", "grids/common/paper.yaml"}
    (spec,) = load_all(packed.folder / packed.grid)[1]
    assert spec.analysis.paper is not None and spec.analysis.paper.title == "A paper"


def test_a_file_named_by_an_override_travels_too(project: Path, tmp_path: Path) -> None:
    change = ["model=../models/other.py:Net"]
    packed = pack(project / "grids" / "two.yaml", change, tmp_path / "job", with_package=False)
    assert files(packed.folder) == {"grids/grids/two.yaml", "grids/common/base.yaml", "grids/models/other.py"}


def test_a_file_named_by_an_override_is_looked_for_beside_each_grid_of_a_collection(
    project: Path, tmp_path: Path
) -> None:
    (project / "grids" / "own.py").write_text(MODEL)
    packed = pack(project / "all.yaml", [" model = own.py:Net"], tmp_path / "job", with_package=False)
    assert "grids/grids/own.py" in files(packed.folder)


def test_the_package_travels_without_what_python_made_of_it(project: Path, tmp_path: Path) -> None:
    packed = pack(project / "grids" / "two.yaml", [], tmp_path / "job", with_package=True)
    found = files(packed.folder)
    assert {"pipeline/__main__.py", "pipeline/cli/run.py"} <= found
    assert any(name.startswith("pipeline/report/page/templates/") for name in found)
    assert not [name for name in found if "__pycache__" in name]


def test_a_linked_grid_finds_what_it_extends_beside_the_link(project: Path, tmp_path: Path) -> None:
    (project / "links").mkdir()
    (project / "links" / "linked.yaml").symlink_to(project / "grids" / "two.yaml")
    packed = pack(project / "links" / "linked.yaml", [], tmp_path / "job", with_package=False)
    assert load_all(packed.folder / packed.grid)[0] == "two"


def test_what_cannot_travel_is_refused(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = [f"model={project / 'models' / 'net.py'}:Net"]
    with pytest.raises(UserError, match="relative to the grid's folder"):
        pack(project / "grids" / "two.yaml", absolute, tmp_path / "job", with_package=False)
    (project / "data.yaml").write_text("extends: grids/two.yaml\nsources: [{dataset: {name: images, path: ./data}}]")
    with pytest.raises(UserError, match=r"path: \./data is beside the grid, and data are not sent along"):
        pack(project / "data.yaml", [], tmp_path / "job", with_package=False)
    (project / "far.yaml").write_text(f"extends: {project / 'grids' / 'two.yaml'}\nname: far\n")
    with pytest.raises(UserError, match="relative to the grid's folder"):
        pack(project / "far.yaml", [], tmp_path / "job", with_package=False)
    with pytest.raises(UserError, match=r"missing\.py: there is no such file"):
        pack(project / "grids" / "two.yaml", ["model=missing.py:Net"], tmp_path / "job", with_package=False)
    monkeypatch.setattr(packing, "LIMIT", 100)
    with pytest.raises(UserError, match="Ray takes 100; the largest file is"):
        pack(project / "all.yaml", [], tmp_path / "job", with_package=False)
