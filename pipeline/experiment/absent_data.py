"""Data sets that are not there, each once. Reads no data set."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.experiment.other_forms import other_form
from pipeline.experiment.stages import Stage
from pipeline.lottery.locations import Folder, folder_at
from pipeline.lottery.published_data import PUBLISHED

Lacking = dict[str, dict[str, str]]
"""What is not there and what to do, in sentences; for each, the sides that read it, with the same as a refusal."""


@dataclass(frozen=True)
class Absent:
    """A data set that is not there."""

    name: str
    """Of a published set; else what is missing."""
    location: str | None
    """`prepared` of the grid."""
    what: str
    """A sentence: what is missing where."""
    how: str
    """How to get it."""
    otherwise: str | None
    """How a grid names what seems to be the same set in another form."""
    downloads: bool
    """Whether a run tries to download it."""
    elsewhere: bool = False
    """Whether it would be at a URI, not on this machine."""

    @property
    def hint(self) -> str:
        """A sentence with what could be written instead, after a space; empty where nothing was found."""
        if self.otherwise is None:
            return ""
        return (
            f" It seems to be there in another form: `dataset: {self.otherwise}` in the grid reads it, with the "
            "augmentation that `training` names, by default none."
        )

    def is_read_by(self, stage: Stage) -> bool:
        return _read_by(stage) == (self.name, self.location)


def unplanned(lacking: Lacking) -> tuple[Absent, ...]:
    """The data of which planning needs files that are not there, each once."""
    found = []
    for what, readers in lacking.items():
        said = f"nothing can be planned of {', '.join(readers)}: {next(iter(readers.values()))}"
        found.append(Absent(what, None, said, "", None, False))
    return tuple(found)


def absent_data(stages: Iterable[Stage], root: Path, ask_networks: bool = True) -> list[Absent]:
    """The published data sets that `stages` read and that are not there, in the order of the stages.

    What planning itself reads, as Parquet, folders of pictures and a user's own data, is `unplanned` where it is not
    there. Without `ask_networks` what was prepared at a URI counts as there.
    """
    names = dict.fromkeys(read for stage in stages if (read := _read_by(stage)) is not None)
    found = (_absent(name, location, root, ask_networks) for name, location in names)
    return [absent for absent in found if absent is not None]


def without_data(stages: Mapping[str, Stage], absent: Iterable[Absent]) -> dict[str, str]:
    """The stages that read what is absent, and all that descend from them, by key with the reason.

    `stages` in topological order.
    """
    sets = list(absent)
    out: dict[str, str] = {}
    for key, stage in stages.items():
        missing = next((one for one in sets if one.is_read_by(stage)), None)
        if missing is not None:
            out[key] = f"{missing.name} is not there"
        elif (
            before := next((out[read.stage] for read in stage.inputs.values() if read.stage in out), None)
        ) is not None:
            out[key] = before
    return out


def _read_by(stage: Stage) -> tuple[str, str | None] | None:
    """Name and location of the published set that a stage reads."""
    if stage.kind != "train":
        return None
    name = stage.training.configuration.data.name
    return (name, stage.locations.get("data")) if name in PUBLISHED else None


def _absent(name: str, location: str | None, root: Path, ask_networks: bool) -> Absent | None:
    known = PUBLISHED[name]
    try:
        folder = folder_at(location or f"prepared/{name}", root)
    except OSError as error:  # no place on this machine can be called so
        return Absent(name, location, f"{name}: {error}.", "Correct `prepared`, or leave it out.", None, False)
    if folder.elsewhere and not ask_networks:
        return None
    problem = _unprepared(folder)
    if problem is None or (location is None and not known.missing(root)):
        return None
    if location is not None:
        how = f"Give `tickets prepare {name} {folder}`, or leave out `prepared`."
        return Absent(name, location, f"{name}: {problem}", how, None, False, folder.elsewhere)
    return Absent(name, None, known.lacks(name, root), known.how(root), other_form(name, root), known.downloads)


def _unprepared(folder: Folder) -> str | None:
    """A sentence on why nothing prepared can be read in a folder; None where something can."""
    from pyarrow.fs import FileType

    try:
        if folder.filesystem.get_file_info(folder.path("prepared.json")).type == FileType.File:
            return None
    except OSError as error:
        return f"{folder} cannot be read: {error}."
    return f"{folder} has no prepared.json."
