"""A command imports what it needs and no more: waiting for torch, Ray or MLflow is for commands that use them."""

import resource
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "ray", "mlflow", "pandas", "sklearn", "pyarrow", "matplotlib", "scipy")


def work() -> float:
    """Seconds of the processor that commands have taken; other tests run at the same time."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_is_quick_and_imports_nothing_heavy(interpreter: Callable[..., Any], tmp_path: Path) -> None:
    before = work()
    said = interpreter(tmp_path, "--help", watching=(*HEAVY, "numpy", "yaml", "pydantic"))
    assert work() - before < 1.5, "0.1 s on a quiet machine; the budget is 0.4 s"
    assert said.code == 0
    assert said.err.splitlines()[-1].strip() == "imported:"


def test_help_lists_every_command_in_the_order_of_use_with_a_whole_sentence(
    interpreter: Callable[..., Any], tmp_path: Path
) -> None:
    text = interpreter(tmp_path, "--help").out
    listed = [line.split()[0] for line in text.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()]
    wanted = "run plan status report compare show diff export archive import sync verify du gc ui prepare doctor"
    wanted += " submit jobs logs stop"
    assert listed == wanted.split()
    assert "..." not in text.partition("Commands:")[2]


def test_a_command_is_a_file_of_that_name() -> None:
    from pipeline.cli import app

    names = {command.name for command in app.registered_commands}
    assert names <= {file.stem.rstrip("_") for file in (ROOT / "pipeline" / "cli").glob("*.py")}


def test_the_version_is_the_one_of_pyproject(interpreter: Callable[..., Any], tmp_path: Path) -> None:
    said = interpreter(tmp_path, "--version")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (said.code, said.out) == (0, f"ticket-transfer {version}\n")


@pytest.mark.parametrize("command", ["plan", "status"])
def test_plan_and_status_import_neither_torch_nor_ray(
    ran: Any, interpreter: Callable[..., Any], tmp_path: Path, command: str
) -> None:
    for store in (str(tmp_path / "empty"), str(ran[0] / ".tickets" / "store")):
        said = interpreter(ran[0], command, "tiny.yaml", "--store", store, watching=("torch", "ray", "mlflow"))
        assert said.code == 0
        assert said.err.splitlines()[-1].strip() == "imported:"


def test_a_cached_run_is_quick_and_imports_neither_torch_nor_ray_nor_mlflow(
    ran: Any, interpreter: Callable[..., Any]
) -> None:
    before = work()
    said = interpreter(ran[0], "run", "tiny.yaml", watching=("torch", "ray", "mlflow"))
    assert work() - before < 10, "1.5 s on a quiet machine; the budget is 5 s"
    assert said.code == 0, said.err
    assert said.err.splitlines()[-1].strip() == "imported:"
    assert "0 stages run, 14 cached" in said.out


def test_a_local_run_imports_no_ray(ran: Any) -> None:
    assert ran[1].err.splitlines()[-1].strip() == "imported: torch"


def test_a_run_into_a_pipe_prints_plain_lines(ran: Any) -> None:
    _, said = ran
    assert said.code == 0, said.err
    assert "\x1b" not in said.out and "\r" not in said.out
    note, first, *_ = said.out.splitlines()
    assert note.startswith("note: 2 seeds are too few for a test:")
    assert first == "tiny: 0 stages cached, 10 trainings and 4 prunings to run"
    assert "14 stages run, 0 cached" in said.out
    assert "Test accuracy on low" in said.out
    assert "WARNING" not in said.err and "Warning" not in said.err and "Traceback" not in said.err
