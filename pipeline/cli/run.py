"""`tickets run`: everything of a grid, or of a collection of them, that its store lacks, then the reports."""

import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipeline.cli import options
from pipeline.cli.console import open_console, say
from pipeline.cli.quantities import duration
from pipeline.engine.signals import Terminated, terminated_on_sigterm
from pipeline.engine.waiting import waiting
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.engine.driver import RunOptions
    from pipeline.engine.summary import RunSummary
    from pipeline.engine.tracking.tracker import Tracker
    from pipeline.experiment.grid import Work

MENDS = 2
"""How often a run makes again what its own report finds damaged or lost."""

GO_ON = "Finished stages are in the store: run the same command again to go on."


def run(
    file: options.File,
    overrides: options.Overrides = None,
    store: options.StoreOption = options.STORE,
    tracking: options.TrackingOption = options.TRACKING,
    data: options.DataOption = options.DATA,
    reports: options.ReportsOption = options.REPORTS,
    local: Annotated[bool, typer.Option("--local", help="In this process, without Ray: for debugging.")] = False,
    lanes: options.LanesOption = None,
    address: Annotated[
        str, typer.Option(envvar="TICKETS_RAY_ADDRESS", help="`local`, `auto`, or a Ray cluster's address.")
    ] = "local",
    fail_fast: options.FailFastOption = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out stages whose data set is not there, and run the others.")
    ] = False,
    checkpoint_minutes: options.CheckpointOption = 10.0,
    lease_timeout: Annotated[
        float, typer.Option(min=5.0, help="Seconds without a sign of life after which a lane's stage goes to another.")
    ] = 60.0,
) -> None:
    """Run what the store lacks of a grid or collection, then report."""
    from pipeline.cli.missing_data import left_out
    from pipeline.cli.report import notes_on_names, start_tracking
    from pipeline.engine.driver import RunOptions
    from pipeline.engine.jobs.submission import check_identity
    from pipeline.engine.store import Store
    from pipeline.experiment.collections import open_work

    check_identity()
    console = open_console()
    try:
        with terminated_on_sigterm():
            with waiting("Planning", partial(say, console)):
                work = open_work(file, overrides or [], data, without_absent=True)
            for note in (*work.notes, *notes_on_names(work, Store(store, create=False))):
                say(console, f"note: {note}", "yellow")
            here = local or address == "local"
            without = left_out(work, store, data, console, here=here, allow_missing=allow_missing)
            settings = RunOptions(
                store,
                data.resolve(),
                local=local,
                lanes=lanes,
                address=address,
                fail_fast=fail_fast,
                without=without,
                checkpoint_seconds=checkpoint_minutes * 60,
                lease_timeout=lease_timeout,
            )
            if address == "local":
                os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray's own default, which it else announces
            trackers = [start_tracking(grid, tracking, settings.store, console) for grid in work.grids]
            summary = _run_and_report(work, settings, reports, console, trackers)
    except KeyboardInterrupt as stop:  # before the driver watches for it, after it, or a second one in it
        say(console, f"Stopped at once. {GO_ON}")
        sys.exit(143 if isinstance(stop, Terminated) else 130)
    except Exception as error:
        _lost(error)
        raise
    _conclude(console, work, summary)
    sys.exit(summary.exit_code or int(bool(work.absent)))


def _run_and_report(
    work: "Work", settings: "RunOptions", reports: Path, console: Console, trackers: "Sequence[Tracker | None]"
) -> "RunSummary":
    """Run, report, and again where the report met files that are damaged, which it has discarded, or lost."""
    from pipeline.cli.display import Display
    from pipeline.cli.report import TerminalAudience
    from pipeline.engine.driver import run as run_work
    from pipeline.engine.store import Store
    from pipeline.report.report import make_report

    summary: RunSummary | None = None
    for left in reversed(range(MENDS + 1)):
        with Display(work, console, [tracker.log_stages for tracker in trackers if tracker]) as display:
            summary = run_work(work, settings, display).after(summary)
        if summary.interrupted:
            break
        given_up = {*summary.failed, *summary.skipped, *summary.left_out, *summary.blocked}
        complete = not summary.exit_code
        errors: list[Exception] = []
        damaged: list[str] = []
        for grid, tracker in zip(work.grids, trackers, strict=True):
            try:
                store = Store(settings.store, create=False).existing()
                audience = TerminalAudience(grid, store, console, tracker)
                mending = complete and left > 0
                damaged += make_report(grid, store, reports, audience, given_up, whole=complete, mending=mending)
            except Exception as error:  # it hides neither what failed nor the reports of other grids
                errors.append(error)
        summary.damaged = len(damaged)
        if errors:
            _conclude(console, work, summary)
            raise errors[0]
        if not (damaged and complete):
            break
    assert summary is not None
    return summary


def _conclude(console: Console, work: "Work", summary: "RunSummary") -> None:
    """The last lines: how much was run, what failed (each message once), and how to go on."""
    counts = {
        f"{summary.diverged} diverged": summary.diverged,
        f"{len(summary.failed)} failed": summary.failed,
        f"{len(summary.skipped)} skipped": summary.skipped,
        f"{len(summary.left_out)} left out for want of data": summary.left_out,
        f"{count_of(len(summary.blocked), 'descends', 'descend')} from a diverged one": summary.blocked,
    }
    ran = f"{count_of(summary.ran, 'stage')} run, {summary.cached:,} cached in {duration(summary.seconds)}"
    say(console, "; ".join([ran, *(words for words, some in counts.items() if some)]))
    failed = defaultdict(list)
    for key, message in summary.failed.items():
        failed[message].append(work.stages[key].label)
    for message, labels in failed.items():
        others = f" and {len(labels) - 1:,} more" if len(labels) > 1 else ""
        say(console, f"failed: {labels[0]}{others}: {message}", "red")
    if summary.interrupted:
        say(console, f"Stopped. {GO_ON}")
    elif summary.damaged:
        files = count_of(summary.damaged, "file of the store is", "files of the store are")
        say(console, f"{files} damaged or lost: run the same command again to make what is missing anew.", "red")
    elif summary.failed:
        say(console, "When the cause is mended, run the same command again: only what is missing runs.")


def _lost(error: Exception) -> None:
    """Ray is gone or did not start: nothing that is finished is lost, and running again goes on."""
    if "pipeline.engine.lanes.ray_lost" not in sys.modules:
        return
    from pipeline.engine.lanes.ray_lost import GONE, RayLostError

    if isinstance(error, RayLostError):
        print(f"{error}. {GO_ON}", file=sys.stderr)
        sys.exit(GONE)
