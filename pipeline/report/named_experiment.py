"""An experiment by its name in a store, or by the file that describes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.engine.experiments import recall
from pipeline.engine.store import Store
from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load


def open_experiment(name_or_file: str | Path, store: Store, data: str | Path, overrides: Sequence[str] = ()) -> Grid:
    """The grid in the file, read with `overrides` and the data sets below `data`; or the one last run under that name.

    Raises UserError for a file that is wrong, and for what is neither a file nor a name that the store knows.
    """
    file = Path(name_or_file)
    if file.is_file():
        return expand(load(file, overrides), data)
    if file.suffix in (".yaml", ".yml"):
        raise UserError(f"There is no file {file}.")
    if overrides:
        raise UserError(f"--set needs the grid's file: {name_or_file} is the name of an experiment that was run.")
    return recall(store, str(name_or_file))
