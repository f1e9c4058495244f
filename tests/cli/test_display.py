"""The live display shows each lane's stage with epoch and accuracy; what it quotes is never read as markup."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.cli.display import Display
from pipeline.engine.lanes.board import Board
from pipeline.engine.lanes.leases import Lease, Progress
from pipeline.engine.lanes.outcomes import Outcome
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load


@pytest.fixture
def grid(fresh: Path) -> Grid:
    return expand(load("tiny.yaml", []), Path("data"))


def begun(grid: Grid) -> tuple[Board, int, Lease]:
    """A board of one stage, which lane `a` runs while `b` is idle."""
    stages = list(grid.stages.values())[:1]
    board = Board(stages, {stage.key: frozenset() for stage in stages})
    session = board.hello("a", stages[0].shape)
    board.hello("b", stages[0].shape)
    lease = board.lease("a", session)
    assert isinstance(lease, Lease)
    return board, session, lease


@pytest.mark.parametrize("width", [80, 120])
def test_a_lane_shows_its_stage_epoch_and_accuracy_in_one_line(grid: Grid, width: int) -> None:
    board, session, lease = begun(grid)
    record = {"iteration": 12, "epoch": 1.0, "test_accuracy": 0.905}
    board.heartbeat("a", session, Progress(18, record))
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None)
    with Display(grid, console) as display:
        display.followed(board.view())
        console.print(display._picture(board.view()))
    lines = [line for line in out.getvalue().splitlines() if lease.stage.label in line]
    assert lines and all("epoch 1.5 of 2" in line and "test 90.5%" in line for line in lines)
    assert "b" in out.getvalue() and "idle" in out.getvalue()
    assert "0 of 0 done, 1 running" in out.getvalue()


def test_messages_are_printed_as_they_are(grid: Grid) -> None:
    board, session, lease = begun(grid)
    message = "ValueError: [/tmp/x] is no [bold]file[/bold] " + "long " * 40
    out = io.StringIO()
    display = Display(grid, Console(file=out, width=80))
    for attempt in (1, 2):
        outcome = Outcome("failed", error_class="exception", message=message, trace="Traceback [/a]: why")
        board.complete("a", session, lease.id, outcome)
        display.followed(board.view())
        if attempt == 1:
            again = board.lease("a", session)
            assert isinstance(again, Lease)
            lease = again
    lines = out.getvalue().splitlines()
    assert any(line.startswith("again: ") and message in line for line in lines)
    assert any(line.startswith("failed: ") for line in lines)
