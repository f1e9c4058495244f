"""The command `tickets`. Heavy imports happen inside the command that needs them."""

import contextlib
import sys

import typer

from pipeline.cli import (
    comparing,
    doctor,
    exporting,
    inspection,
    jobs,
    plans,
    preparing,
    reporting,
    running,
    showing,
    submitting,
    tracking,
)
from pipeline.cli.supervision import supervised
from pipeline.cli.terminal import plain_streams
from pipeline.engine.addresses import shown
from pipeline.experiment.errors import UserError
from pipeline.lottery.printable import escaped

app = typer.Typer(
    name="tickets",
    help="Find lottery tickets and learn where they transfer.",
    epilog="Begin with `tickets plan FILE`, then `tickets run FILE`. Exit codes: 0 done, 1 stages failed or files are "
    "damaged, 2 a mistake that the message explains, 75 the cluster or the store was lost, 130 and 143 stopped.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(running.run)
app.command("plan")(plans.plan)
app.command("status")(inspection.status)
app.command("report")(reporting.report)
app.command("compare")(comparing.compare)
app.command("show")(showing.show)
app.command("export")(exporting.export)
app.command("sync")(tracking.sync)
app.command("verify")(inspection.verify)
app.command("ui")(tracking.ui)
app.command("prepare")(preparing.prepare)
app.command("doctor")(doctor.doctor)
app.command("submit")(submitting.submit)
app.command("jobs")(jobs.jobs)
app.command("logs")(jobs.logs)
app.command("stop")(jobs.stop)


def main() -> None:
    """Entry point: what a person or the machine did wrong is told in words, without a stack trace, with exit code 2."""
    on_ray = sys.argv[1:2] == ["run"] and "--local" not in sys.argv
    with supervised() if on_ray else contextlib.nullcontext():
        _command()


@plain_streams()
def _command() -> None:
    try:
        app()
    except UserError as error:
        _end(str(error))
    except OSError as error:  # a full disk, a file that may not be read, a store that is away
        where = f"{error.filename2 or error.filename}: " if error.filename else ""
        _end(
            f"{where}{error.strerror or error}. Nothing that is finished is lost: "
            "mend this, then give the same command again.",
            getattr(error, "exit_code", 2),
        )


def _end(message: str, code: int = 2) -> None:
    print(f"error: {escaped(shown(message))}", file=sys.stderr)
    sys.exit(code)
