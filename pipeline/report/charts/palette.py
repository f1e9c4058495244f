"""How lines look, on the page and in the stills: a colour a source, dashes a ticket, markers beside colours."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pipeline.experiment.spec import ANY, DENSE

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F"]
"""Okabe and Ito's palette, told apart with any colour vision; its yellow is too pale for lines on white."""
GREYS = ["#666666", "#999999", "#333333"]
DARK_COLOURS = ["#5AAEF2", "#F58A4B", "#2CC295", "#E7A3CB", "#F2B93B", "#9AD8F7", "#C9A75F"]
"""The same hues, light enough for a dark page."""
DARK_GREYS = ["#A3A8B0", "#787E88", "#D5D8DC"]
MARKERS = "osD^vPX"
PAGE_MARKERS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x"]
Dashes = str | tuple[float, tuple[float, ...]]
"""As matplotlib has them."""
DASHES: list[Dashes] = ["-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2, 2, 2, 2, 2))]
PAGE_DASHES = ["solid", "7px,3px", "2px,2px", "7px,2px,2px,2px", "11px,3px,3px,3px,3px,3px"]
SEQUENCE = ("#A9CBE8", "#08306B")
"""From the first round to the last on a light page; on a dark one from dark to light."""
DARK_SEQUENCE = ("#2F5275", "#D6EAFF")
WINNING = ("winning",)
DENSE_LABEL = "dense network"


def for_page() -> dict[str, object]:
    """What the page's scripts know of it; colours are variables of its style sheet."""
    return {"markers": PAGE_MARKERS, "dashes": PAGE_DASHES, "inks": len(COLOURS), "greys": len(GREYS)}


@dataclass(frozen=True, slots=True)
class Line:
    """How one (source, ticket) looks in every panel. `colour` counts in COLOURS, or in GREYS where `shared`."""

    source: str
    ticket: str
    label: str
    colour: int
    dash: int
    shared: bool
    """Whether the ticket belongs to no source."""
    winning: bool

    @property
    def ink(self) -> str:
        """Its colour on white."""
        return GREYS[self.colour % len(GREYS)] if self.shared else COLOURS[self.colour % len(COLOURS)]

    @property
    def marker(self) -> str:
        return "x" if self.shared else MARKERS[self.colour % len(MARKERS)]

    @property
    def dashes(self) -> Dashes:
        return DASHES[self.dash % len(DASHES)]


def lines(pairs: Iterable[tuple[str, str]], winning: Collection[str] = WINNING) -> dict[tuple[str, str], Line]:
    """Lines of (source, ticket) pairs: winning tickets first, sources in their order, tickets of no source last.

    The dense network is none of them. `winning`: names of the winning kinds; solid lines are the first one's. Of a
    single source, each kind has a colour of its own.
    """
    pairs = [pair for pair in dict.fromkeys(pairs) if pair[1] != DENSE]
    sources = [source for source in dict.fromkeys(source for source, _ in pairs) if source != ANY]
    tickets = sorted(dict.fromkeys(ticket for _, ticket in pairs), key=lambda ticket: ticket not in winning)
    shared = [ticket for ticket in tickets if (ANY, ticket) in pairs]
    result = {}
    for source, ticket in sorted(pairs, key=lambda pair: (pair[0] == ANY, tickets.index(pair[1]))):
        kind = tickets.index(ticket)
        if source == ANY:
            result[source, ticket] = Line(source, ticket, ticket, shared.index(ticket), max(1, kind), True, False)
        else:
            label = f"{ticket}, from {source}"
            colour = sources.index(source) if len(sources) > 1 else kind
            result[source, ticket] = Line(source, ticket, label, colour, kind, False, ticket in winning)
    return result
