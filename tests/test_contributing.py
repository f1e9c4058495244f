"""What CONTRIBUTING.md says is so: its examples work on a copy of the package, its stops exist, its floors hold."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
TICKETS = "from pipeline.report.stills import figures; figures.drawn = dict; from pipeline.cli import main; main()"


def sections() -> dict[str, str]:
    """The text of each kind of extension, by its heading in the words of the table."""
    parts = re.split(r"^### (.+)\n", TEXT, flags=re.MULTILINE)[1:]
    return {f"{title[0].lower()}{title[1:]}": text for title, text in zip(parts[::2], parts[1::2], strict=True)}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def changes(diff: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Of each file of a diff, its path and its hunks."""
    for file in re.split(r"^--- .+\n", diff, flags=re.MULTILINE)[1:]:
        head, *lines = file.splitlines()
        hunks = [list(group) for is_mark, group in groupby(lines, lambda line: line == "@@") if not is_mark]
        yield head.removeprefix("+++ b/"), hunks


def apply(diff: str, checkout: Path) -> None:
    for path, hunks in changes(diff):
        file = checkout / path
        text = file.read_text() if file.exists() else ""
        for hunk in hunks:
            old, new = ("".join(f"{line[1:]}\n" for line in hunk if line[:1] in marks) for marks in (" -", " +"))
            assert not text or text.count(old) == 1, f"{path} has not once:\n{old}"
            text = text.replace(old, new) if text else new
        file.write_text(text)


def check_report(folder: Path) -> None:
    """That of the paper's grid: the paper's numbers and settings are in it, and so is the finding."""
    beside = (folder / "beside_paper.csv").read_text().splitlines()
    assert len(beside) == 3 and ",0.9," in beside[1]
    settings = pd.read_csv(folder / "settings.csv", dtype=str, keep_default_na=False).set_index("field")
    told = settings[["value", "paper", "differs", "reason"]]
    assert list(told.loc["training.length"]) == ["2ep", "2ep", "False", ""]
    assert list(told.loc["prune.rate"]) == ["0.5", "0.1 or 0.2", "True", ""]
    assert list(told.loc["training.precision"]) == ["fp32", "", "False", "not stated"]
    widest = pd.read_csv(folder / "seeds.csv")["range"].max()
    assert 0 < widest < 1
    assert f"<p>The seeds of a point are up to {100 * widest:.1f} points" in (folder / "report.html").read_text()


def test_the_examples_work(tmp_path: Path) -> None:
    """All of them on one copy, and their grids as one collection."""
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    names = []
    for text in sections().values():
        for diff in blocks(text, "diff"):
            apply(diff, tmp_path)
        for written in blocks(text, "yaml"):
            name = yaml.safe_load(written).get("name")  # which a paper has not
            (tmp_path / f"{name or 'paper'}.yaml").write_text(written)
            names += [name] if name else []
    assert len(names) == 6
    collection = {"name": "all", "experiments": [f"{name}.yaml" for name in names]}
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(collection))
    command = [sys.executable, "-c", TICKETS, "run", "all.yaml", "--local", "--tracking", "none"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert said.returncode == 0, said.stdout + said.stderr
    reports = {folder.name: folder for folder in (tmp_path / "reports").iterdir()}
    assert sorted(reports) == sorted(names)
    check_report(reports["a-paper"])
    shapes = "from pipeline.recipes.models import Patches as m; from pipeline.lottery.models import describe as d; "
    shapes += "assert list(m().layers((3, 8, 9), 5)) == d(m(), (3, 8, 9), 5)"
    assert subprocess.run([sys.executable, "-c", shapes], cwd=tmp_path, env=environment).returncode == 0


def test_the_table_counts_the_files_of_each_example() -> None:
    said = dict(re.findall(r"^\| (an? [a-z ]+) \| (\d+)", TEXT, re.MULTILINE))
    assert list(said) == list(sections())
    for kind, text in sections().items():
        files = [path for diff in blocks(text, "diff") for path, _ in changes(diff)]
        assert int(said[kind]) == len(files or blocks(text, "yaml")), kind


STOPS = re.findall(r"^\d+\. `([\w/]+\.py)`, `([\w.]+)`:", TEXT, re.MULTILINE)


def test_a_ticket_makes_twelve_stops_at_the_most() -> None:
    assert 8 <= len(STOPS) <= 12


@pytest.mark.parametrize(("file", "name"), STOPS, ids=str)
def test_each_stop_exists(file: str, name: str) -> None:
    body: list[ast.stmt] = ast.parse((ROOT / file).read_text()).body
    for part in name.split("."):
        found = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part]
        assert found, f"{file} has no {name}"
        body = found[0].body


FLOORS = re.findall(r"^pipeline/(\w+)", TEXT, re.MULTILINE)


def test_every_floor_is_in_the_picture() -> None:
    assert sorted(FLOORS) == sorted(file.parent.name for file in (ROOT / "pipeline").glob("*/__init__.py"))


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_go_down_only(floor: str) -> None:
    above = FLOORS[: FLOORS.index(floor)]
    for file in (ROOT / "pipeline" / floor).rglob("*.py"):
        named = set(re.findall(r"^\s*(?:from|import) pipeline\.(\w+)", file.read_text(), re.MULTILINE))
        assert not named & {*above}, file


WITHOUT = {
    floor: re.findall(r"\bno (\w+)", part)
    for floor, part in re.findall(r"^pipeline/(\w+)([^`]+?)(?=^pip|^`)", TEXT, re.M)
}


@pytest.mark.parametrize("floor", [floor for floor in FLOORS if WITHOUT[floor]])
def test_a_floor_does_without_what_the_picture_says(floor: str) -> None:
    """Where all its modules are imported, but for those that run a user's model, as the text below the picture says."""
    run_users = {ROOT / path for path in re.findall(r"`(pipeline/experiment/\w+\.py)` runs", TEXT)}
    files = [file for file in (ROOT / "pipeline" / floor).rglob("[!_]*.py") if file not in run_users]
    modules = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    loaded = "import sys, importlib; [importlib.import_module(name) for name in sys.argv[1:]]; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", loaded, *modules], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not set(said.stdout.split()) & {name.lower() for name in WITHOUT[floor]}


def test_files_and_commands_that_are_named_exist() -> None:
    words = re.sub(r"```diff.*?```", "", TEXT, flags=re.DOTALL)
    for path in re.findall(r"(?:tests|experiments|pipeline)/[\w/]+\.(?:py|yaml)", words):
        assert (ROOT / path).exists(), path
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z]+)", TEXT, re.MULTILINE)) <= targets


def test_hooks_and_workflow_run_what_the_makefile_and_ci_run() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lint = re.search(r"^lint:.*\n((?:\t.+\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert lint is not None
    assert [hook["entry"] for hook in hooks] == [
        line.strip().replace("$(BIN)", ".venv/bin") for line in lint[1].splitlines()
    ]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step] == [".ci/run"]
