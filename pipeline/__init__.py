"""Find lottery tickets and learn where they transfer. `from pipeline import Ticket` loads one into a model."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.lottery.ticket import Ticket

__all__ = ["Ticket"]


def __getattr__(name: str) -> object:
    """Import on first use: the command line imports this package and must start without torch."""
    if name == "Ticket":
        from pipeline.lottery.ticket import Ticket

        return Ticket
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
