"""The command `tickets`. Heavy imports happen inside the command that needs them."""

import contextlib
import sys
from typing import Annotated

import typer

from pipeline.cli import (
    archive,
    compare,
    diff,
    doctor,
    du,
    export,
    gc,
    import_,
    jobs,
    logs,
    plan,
    prepare,
    report,
    run,
    show,
    status,
    stop,
    submit,
    sync,
    ui,
    verify,
)
from pipeline.cli.console import plain_streams
from pipeline.cli.supervision import supervised
from pipeline.engine.addresses import shown
from pipeline.engine.provenance import versions
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


def _version(wanted: bool) -> None:
    if wanted:
        print("ticket-transfer", versions()["ticket-transfer"])
        raise typer.Exit


@app.callback()
def tickets(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of `tickets` itself."""


app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("status")(status.status)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("show")(show.show)
app.command("diff")(diff.diff)
app.command("export")(export.export)
app.command("archive")(archive.archive)
app.command("import")(import_.import_)
app.command("sync")(sync.sync)
app.command("verify")(verify.verify)
app.command("du")(du.du)
app.command("gc")(gc.gc)
app.command("ui")(ui.ui)
app.command("prepare")(prepare.prepare)
app.command("doctor")(doctor.doctor)
app.command("submit")(submit.submit)
app.command("jobs")(jobs.jobs)
app.command("logs")(logs.logs)
app.command("stop")(stop.stop)


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
