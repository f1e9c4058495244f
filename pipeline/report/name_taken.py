"""What is said before a grid runs under a name that another experiment has."""

from __future__ import annotations

from pipeline.engine.experiments import GRIDS, number_of, other_version, versions
from pipeline.engine.store import Store, layout
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid
from pipeline.report.spec_settings import spec_differences

SHOWN = 4
"""Settings that differ which are named; `tickets compare` has all."""
WIDTH = 60
"""Characters of a setting that are shown."""


def note_on_name(grid: Grid, store: Store) -> str | None:
    """A sentence for a grid that is neither the experiment which its name stands for, nor an extension or part of it.

    None for any other.
    """
    other = other_version(store, grid)
    if other is None:
        return None
    known = versions(store, grid.name)
    new = f"{grid.name}@{number_of(known, grid)}"
    damaged = [layout.document(f"{GRIDS}/{each.document}") for each in known if each.content is None]
    if other.content is None:
        return (
            f"What the store remembers of {grid.name} is damaged ({', '.join(damaged)}): whether that is another "
            f"experiment cannot be told; this one will be {new}."
        )
    try:
        rows = spec_differences(other.grid(store.uri).spec, grid.spec).to_dict("records")
    except UserError:  # remembered by another version of this program
        rows = []
    settings = [f"{row['field']} is {_short(row['a'])} there and {_short(row['b'])} here" for row in rows[:SHOWN]]
    more = [f"and {len(rows) - SHOWN} more settings differ"] if len(rows) > SHOWN else []
    differences = "; ".join([*settings, *more]) or "its data, its model's code or the meaning of its stages is another"
    lost = f" Of another version the document is damaged ({', '.join(damaged)})." if damaged else ""
    return (
        f"{grid.name} is the name of another experiment too: {differences}. It stays readable as "
        f"{grid.name}@{other.number}; this one will be {new}, unless it gets a name of its own.{lost}"
    )


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."
