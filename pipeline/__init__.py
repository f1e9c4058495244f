"""Find lottery tickets and learn where they transfer.

`from pipeline import Ticket` loads a ticket into a model; `from pipeline import results` reads an experiment.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.lottery.ticket import Ticket
    from pipeline.report.results import results

__all__ = ["Ticket", "results"]


def __getattr__(name: str) -> object:
    """Import on first use: the command line imports this package and must start without torch."""
    if name == "Ticket":
        from pipeline.lottery.ticket import Ticket

        return Ticket
    if name == "results":
        from pipeline.report.results import results

        return results
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
