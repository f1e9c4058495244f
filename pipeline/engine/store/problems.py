"""What can be wrong with a store, as data for reports and as errors for whoever reads."""

from dataclasses import dataclass
from typing import Literal

from pipeline.engine.store.filesystem import Listed
from pipeline.experiment.errors import UserError


@dataclass(frozen=True, slots=True)
class Problem:
    """One file that is damaged, missing or unneeded."""

    path: str
    """Relative to the store's root."""
    key: str | None
    """The stage it belongs to; None for files of no stage."""
    what: str
    output: str | None = None
    """The output, where the file is a payload: `Store.discard(key, output)` makes it run again."""
    severity: Literal["error", "information"] = "error"

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def misplaced(file: Listed) -> Problem:
    """A file where the store has a folder; it is set aside when something is written there."""
    return Problem(file.path, None, "is a file in the place of a folder")


class _OutputError(UserError):
    """Its arguments are its state, so that it survives pickling between a lane and its driver."""

    def __init__(self, key: str, output: str | None, path: str, what: str) -> None:
        super().__init__(key, output, path, what)
        self.key, self.output, self.path, self.what = key, output, path, what

    def __str__(self) -> str:
        subject = "The record" if self.output is None else f"Output {self.output!r}"
        return f"{subject} of stage {self.key[:12]} {self.what} ({self.path}). {self._advice}"

    _advice = ""


class MissingOutput(_OutputError):  # noqa: N818 - named in the store's interface
    """The store does not have the output: never made, collected, or its file is gone."""

    _advice = "Run the experiment again: only what is missing is recomputed."

    @property
    def is_lost(self) -> bool:
        """Whether a record names its file, which is gone: damage. The error is about the record otherwise."""
        return self.path.startswith("outputs/")


class CorruptOutput(_OutputError):  # noqa: N818 - named in the store's interface
    """The store has the file, but not the bytes that were written. `output` is None for the stage's record."""

    _advice = "Run the experiment again to recompute it; `tickets verify` checks the whole store."
