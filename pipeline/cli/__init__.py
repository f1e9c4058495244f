"""The command `tickets`. Heavy imports happen inside the command that needs them."""

import sys

import typer

from pipeline.cli import doctor, exporting, inspection, planning, reporting, running
from pipeline.experiment.errors import UserError

app = typer.Typer(
    name="tickets",
    help="Find lottery tickets and learn where they transfer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(running.run)
app.command("plan")(planning.plan)
app.command("status")(inspection.status)
app.command("report")(reporting.report)
app.command("show")(inspection.show)
app.command("export")(exporting.export)
app.command("sync")(reporting.sync)
app.command("verify")(inspection.verify)
app.command("ui")(reporting.ui)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Entry point: what a person did wrong is told in words, without a stack trace, with exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
