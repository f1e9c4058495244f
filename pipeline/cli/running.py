"""`tickets run`: everything of a grid that its store lacks, then the report."""

import sys
from typing import Annotated, Optional

import typer
from rich.console import Console

from pipeline.cli.duration import duration
from pipeline.cli.options import (
    DATA,
    REPORTS,
    STORE,
    TRACKING,
    DataOption,
    File,
    Overrides,
    ReportsOption,
    StoreOption,
    TrackingOption,
)


def run(
    file: File,
    overrides: Overrides = None,
    store: StoreOption = STORE,
    tracking: TrackingOption = TRACKING,
    data: DataOption = DATA,
    reports: ReportsOption = REPORTS,
    local: Annotated[bool, typer.Option("--local", help="In this process, without Ray: for debugging.")] = False,
    lanes: Annotated[Optional[int], typer.Option(min=1, help="At most so many lanes. Default: what fits.")] = None,  # noqa: UP045
    address: Annotated[
        str, typer.Option(envvar="TICKETS_RAY_ADDRESS", help="`local`, `auto`, or a Ray cluster's address.")
    ] = "local",
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first stage that fails.")] = False,
    checkpoint_minutes: Annotated[
        float, typer.Option(min=0.0, help="Minutes between checkpoints of a long stage.")
    ] = 10.0,
    lease_timeout: Annotated[
        float, typer.Option(min=5.0, help="Seconds without a sign of life after which a lane's stage goes to another.")
    ] = 60.0,
) -> None:
    """Run a grid: what is in the store already is not run again."""
    from pipeline.cli.display import Display
    from pipeline.cli.reporting import Unmade, start_tracking, write_and_show
    from pipeline.engine.driver import RunOptions
    from pipeline.engine.driver import run as run_grid
    from pipeline.experiment.grid import expand
    from pipeline.experiment.loading import load

    console = Console()
    grid = expand(load(file, overrides or []), data)
    options = RunOptions(
        store,
        data.resolve(),
        local=local,
        lanes=lanes,
        address=address,
        fail_fast=fail_fast,
        checkpoint_seconds=checkpoint_minutes * 60,
        lease_timeout=lease_timeout,
    )
    tracker = start_tracking(grid, tracking, options.store, console)
    with Display(grid, console, tracker.log_stages if tracker else None) as display:
        try:
            summary = run_grid(grid, options, display)
        except Exception as error:
            _lost(error)
            raise
    if not summary.interrupted:
        unmade = Unmade(set(summary.failed), set(summary.skipped) | set(summary.blocked))
        write_and_show(grid, options.store, reports, console, tracker, unmade)
    console.print(
        f"{summary.ran} stages run, {summary.cached} cached in {duration(summary.seconds)}"
        + (f"; {summary.diverged} diverged" if summary.diverged else "")
        + (f"; {len(summary.skipped)} skipped" if summary.skipped else "")
        + (f"; {len(summary.blocked)} descend from a diverged one" if summary.blocked else "")
    )
    for key, message in summary.failed.items():
        console.print(f"[red]failed: {grid.stages[key].label}[/red] (tickets show {key[:12]}): {message}")
    if summary.interrupted:
        console.print("Stopped. Finished stages are in the store: run the same command again to go on.")
    sys.exit(summary.exit_code)


def _lost(error: Exception) -> None:
    """The board or the cluster is gone: nothing that is finished is lost, and running again goes on."""
    from pipeline.engine.ray_lanes import GONE, BoardLostError

    if isinstance(error, BoardLostError):
        print(
            f"The board of this run is gone ({error}). Finished stages are in the store: "
            "run the same command again to go on.",
            file=sys.stderr,
        )
        sys.exit(GONE)
