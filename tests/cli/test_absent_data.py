"""Data that is not there: told once a data set, by plan, run and doctor."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console

from pipeline.cli.missing_data import left_out, planned_without
from pipeline.engine.store import Store
from pipeline.experiment import planning
from pipeline.experiment.absent_data import absent_data, without_data
from pipeline.experiment.collections import open_work
from pipeline.experiment.other_forms import other_form
from pipeline.experiment.planning import Plan
from pipeline.lottery.data import downloading

GRID = """\
name: absent
model: lenet-4
seeds: [0]
training: {length: 1ep, batch_size: 128}
prune: {rounds: 1}
sources: [digits]
targets: [digits, {name: gone, dataset: {name: mnist, resize: 8}}]
tickets: [winning]
"""
Tickets = Callable[..., Any]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The current directory has a grid; every download is noted, and fails as one without a network."""
    (tmp_path / "grid.yaml").write_text(GRID)
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []

    def download(name: str, scratch: Path) -> None:
        asked.append(name)
        raise OSError("no network")

    monkeypatch.setattr(downloading, "_download", download)
    return asked


def parquet(folder: Path, image: str, label: str) -> None:
    folder.mkdir(parents=True)
    table = pa.table({"id": ["a"], "width": [8], image: [{"bytes": b"", "path": ""}], label: [0]})
    for part in ("train", "test"):
        pq.write_table(table, folder / f"{part}-00000-of-00001.parquet")


def test_a_plan_goes_on_and_says_it_once(asked: list[str], tickets: Tickets) -> None:
    said = tickets("plan", "grid.yaml", "--data", "nothing")
    assert said.code == 0
    lines = [line for line in said.out.splitlines() if "mnist" in line]
    assert len(lines) == 1 and lines[0].startswith("missing data: mnist is not complete in nothing/MNIST/raw: missing ")
    facts = json.loads(tickets("plan", "grid.yaml", "--data", "nothing", "--json").out)
    assert [absent["name"] for absent in facts["missing_data"]] == ["mnist"]
    (Path.cwd() / "folder").mkdir()
    Path("grid.yaml").rename("folder/grid.yaml")
    assert tickets("plan", "folder", "--data", "nothing").out.count("missing data: mnist") == 1
    assert asked == []


def test_a_run_says_it_before_anything_starts(asked: list[str], tickets: Tickets) -> None:
    said = tickets("run", "grid.yaml", "--local", "--data", "nothing", "--store", "store", "--tracking", "none")
    assert said.code == 2 and asked == ["mnist"]
    assert said.err.count("mnist is not complete") == 1 and "could not download it (no network)" in said.err
    assert "--allow-missing runs the 3 stages that can do without" in said.err
    assert not Path("store").exists()


def test_what_can_do_without_is_run_where_that_is_allowed(asked: list[str], tickets: Tickets) -> None:
    options = ("--local", "--data", "nothing", "--store", "store", "--tracking", "none")
    said = tickets("run", "grid.yaml", *options, "--allow-missing")
    assert said.code == 1
    assert "left out, 2 stages, as mnist is not there: " in said.out
    assert "3 stages run, 0 cached" in said.out and "2 left out for want of data" in said.out
    assert len(Store("store").snapshot()) == 3
    again = tickets("run", "grid.yaml", *options, "--allow-missing")
    assert again.code == 1 and "0 stages run, 3 cached" in again.out and "2 left out for want of data" in again.out


def test_what_descends_from_absent_data_is_left_out_too(asked: list[str]) -> None:
    Path("grid.yaml").write_text(GRID.replace("[digits]", "[digits, {name: gone, dataset: {name: mnist, resize: 8}}]"))
    grid = open_work("grid.yaml", ["model=convnet-2"], "nothing")
    out = without_data(grid.stages, absent_data(grid.stages.values(), Path("nothing")))
    chains = {point.stage for point in grid.points if point.source == "gone" or point.target == "gone"}
    masks = {point.mask for point in grid.points if point.source == "gone"} - {None}
    assert out.keys() == chains | masks and len(grid.stages) > len(out)


FOLDERS = GRID.replace("{name: mnist, resize: 8}", "{name: images, path: nowhere}").replace(
    "tickets:", "baselines: [{name: beside, target: gone, model: lenet-8}]\ntickets:"
)


@pytest.mark.parametrize("kind", ["images", "parquet"])
def test_of_a_folder_that_is_not_there_the_rest_is_planned_and_run(
    asked: list[str], tickets: Tickets, kind: str
) -> None:
    """Its key and its epochs are not known: nothing of it can be planned."""
    Path("grid.yaml").write_text(FOLDERS.replace("images", kind))
    what = "grid.yaml:7: targets.1.dataset.path: there is no folder "
    said = tickets("plan", "grid.yaml", "--data", "nothing")
    assert said.code == 0 and said.out.count("missing data: ") == 1
    assert (
        f"missing data: nothing can be planned of target gone, baseline beside: {what}" in said.out
        and "nowhere. Give a path below the data root" in said.out
    )
    assert json.loads(tickets("plan", "grid.yaml", "--data", "nothing", "--json").out)["to_run"] == 3
    options = ("--local", "--data", "nothing", "--store", "store", "--tracking", "none")
    said = tickets("run", "grid.yaml", *options)
    assert said.code == 2 and said.err.count(what) == 1 and not Path("store").exists()
    assert "--allow-missing runs the 3 stages that can do without" in said.err
    said = tickets("run", "grid.yaml", *options, "--allow-missing")
    assert said.code == 1 and said.out.count(what) == 1 and "3 stages run" in said.out
    page = Path("reports/absent/report.html").read_text()
    assert "nothing can be planned of target gone, baseline beside: " in page
    again = tickets("report", "absent", "--store", "store")
    assert again.code == 0 and again.out.count(what) == 1


def test_where_nothing_can_be_planned_the_folder_is_named_once_and_nothing_runs(
    asked: list[str], tickets: Tickets
) -> None:
    Path("grid.yaml").write_text(
        FOLDERS.replace("sources: [digits]", "sources: [{dataset: {name: images, path: nowhere}}]").replace(
            "[digits, {", "[{"
        )
    )
    said = tickets("plan", "grid.yaml", "--data", "nothing")
    assert said.code == 0 and said.out.count("there is no folder") == 1
    options = ("--local", "--data", "nothing", "--store", "store", "--tracking", "none", "--allow-missing")
    said = tickets("run", "grid.yaml", *options)
    assert said.code == 2 and said.err.count("there is no folder") == 1 and "--allow-missing" not in said.err
    assert not Path("store").exists()


def test_what_is_finished_needs_no_data(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    done = Plan(to_run={}, reasons={}, cached=[], blocked={})
    monkeypatch.setattr(planning, "plan", lambda work, state: done)
    grid, console = open_work("grid.yaml", (), "nothing"), Console()
    assert left_out(grid, "store", Path("nothing"), console, here=True, allow_missing=False) == {}
    assert planned_without(grid, done, Path("nothing")) == [] and asked == []


def test_on_a_cluster_the_files_of_its_nodes_count(asked: list[str], tickets: Tickets, monkeypatch: Any) -> None:
    """This machine's files are not asked for there: it is said, and the cluster is looked for."""
    from pipeline.engine import driver

    def run(*arguments: object) -> None:
        raise LookupError("it went on")

    monkeypatch.setattr(driver, "run", run)
    options = ("--data", "nothing", "--store", "store", "--tracking", "none", "--address", "auto")
    assert "LookupError: it went on" in tickets("run", "grid.yaml", *options).err
    assert asked == []


def test_what_was_to_be_prepared_and_is_not_is_said_once(asked: list[str], tickets: Tickets) -> None:
    text = GRID.replace("name: mnist", "name: mnist, prepared: file:///no/such/folder")
    Path("grid.yaml").write_text(text)
    assert "missing data: mnist: /no/such/folder has no prepared.json." in tickets("plan", "grid.yaml").out
    said = tickets("run", "grid.yaml", "--local", "--store", "store", "--tracking", "none")
    assert said.code == 2 and said.err.count("/no/such/folder has no prepared.json") == 1 and asked == []


@pytest.mark.parametrize(
    ("folder", "image", "label", "written"),
    [
        ("mnist", "image", "label", "{name: parquet, path: mnist}"),
        ("MNIST/mnist", "img", "label", "{name: parquet, path: MNIST/mnist, image: img}"),
        ("prepared/mnist", "img", "class", "{name: parquet, path: prepared/mnist, image: img, label: class}"),
    ],
)
def test_a_set_in_another_form_is_named_as_a_grid_has_it(
    folder: str, image: str, label: str, written: str, asked: list[str], tickets: Tickets
) -> None:
    parquet(Path("data") / folder, image, label)
    assert f"mnist: absent, but there in another form: {written};" in tickets("doctor").out
    assert f"`dataset: {written}`" in tickets("plan", "grid.yaml").out
    assert f"`dataset: {written}`" in tickets("run", "grid.yaml", "--local", "--tracking", "none").err


@pytest.mark.parametrize(
    ("train", "test"),
    [("train_extra.parquet", "test.parquet"), ("data/train-00000-of-00003.parquet", "data/test.parquet")],
)
def test_a_form_that_cannot_be_read_is_not_named(tmp_path: Path, train: str, test: str) -> None:
    for file in (train, test):
        (tmp_path / "mnist" / file).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"image": [b""], "label": [0]}), tmp_path / "mnist" / file)
    assert other_form("mnist", tmp_path) is None


def test_a_form_is_named_as_yaml_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "x, y: {é"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        table = pa.table({"file": ["a"], "image": [b""], "label": ["seven"]})
        pq.write_table(table, folder / f"{part}.parquet")
    named = other_form("mnist", tmp_path)
    assert named is not None and "\n" not in named
    assert yaml.safe_load(named) == {"name": "parquet", "path": "MNIST/x, y: {é"}


def test_a_folder_for_each_class_is_another_form_too(asked: list[str], tickets: Tickets) -> None:
    for folder in ("train/a", "train/b", "val/a", "val/b"):
        (Path("data/cifar-10") / folder).mkdir(parents=True)
    assert "cifar10: absent, but there in another form: {name: images, path: cifar-10};" in tickets("doctor").out
