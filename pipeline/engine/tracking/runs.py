"""A run as MLflow should show it, and the keys that runs are found again by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.engine.tracking.data_sets import DataSet
from pipeline.engine.tracking.metrics import Entry
from pipeline.lottery.printable import escaped
from pipeline.recipes.keys import key_of

KEY = "ticket_transfer.key"
"""Tag by which a run is found again, by any driver: MLflow chooses the run's id itself."""


@dataclass(frozen=True, slots=True)
class WantedRun:
    """A run as it should be in MLflow."""

    key: str
    """SHA-256 of what the run stands for; content of the tag `KEY`."""
    parent: str | None
    name: str
    labels: Mapping[str, str]
    entries: Mapping[int, Entry]
    status: str
    started_ms: int
    ended_ms: int
    colour: str | None = None
    """Of its line in charts; where a person has chosen another one, that stays."""
    inputs: tuple[DataSet, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", escaped(self.name))
        object.__setattr__(self, "labels", {name: escaped(value) for name, value in self.labels.items()})


def run_key(experiment: str, source: str, target: str, ticket: str, seed: int | None) -> str:
    """Key of the run of one seed; of its parent, where the seed is None."""
    return key_of({"experiment": experiment, "source": source, "target": target, "ticket": ticket, "seed": seed})
