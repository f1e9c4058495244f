"""Colours of the curves in MLflow's charts: its own come from the run's id, and two lines often share one."""

from collections.abc import Iterable

PALETTE = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#17becf",
    "#bcbd22",
    "#7f7f7f",
    "#1a1a1a",
)
"""A prime number of colours, see `colours`. Matplotlib's ten and black."""


def colours(curves: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """A colour for each (source, target, ticket).

    On one target the curves of up to eleven (source, ticket) differ, and so do those of one (source, ticket) on up to
    eleven targets: these are the two panels that people look at.
    """
    named = list(curves)
    rows = {row: number for number, row in enumerate(dict.fromkeys((source, ticket) for source, _, ticket in named))}
    columns = {target: number for number, target in enumerate(dict.fromkeys(target for _, target, _ in named))}
    # A step that the palette's (prime) size does not divide runs through all colours before one comes again.
    step = len(rows) if len(rows) % len(PALETTE) else 1
    return {
        (source, target, ticket): PALETTE[(rows[source, ticket] + step * columns[target]) % len(PALETTE)]
        for source, target, ticket in named
    }
