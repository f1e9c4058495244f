"""Findings: all that is known of an experiment at one moment. The page, the stills, the terminal and the files read it.

What they hold in common is read at once; everything else is a `Computed` of the section whose finding it is, or a
`Table` of it, and is made when it is first asked for: `findings.of(TABLE)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import pandas as pd

if TYPE_CHECKING:
    from pipeline.experiment.spec import Spec
    from pipeline.report.evidence import Evidence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Computed(Generic[T]):
    """What is computed from findings once, whoever asks for it first."""

    name: str
    compute: Callable[[Findings], T]


@dataclass(frozen=True, slots=True)
class Table(Computed[pd.DataFrame]):
    """A table that the report writes under its name, as Parquet and, unless it is long, as CSV.

    `reads_store`: whether it is made from files of the store; where a report is current, its table is read instead.
    """

    csv: bool = True
    reads_store: bool = False


@dataclass(frozen=True, slots=True)
class Findings:
    """One experiment, read from its store. Tables have the columns that the modules which make them document."""

    spec: Spec
    results: pd.DataFrame
    """One row a (source, target, ticket, round, seed): `results.results_table`."""
    made: float
    """Unix seconds at which the store was read."""
    evidence: Evidence | None = None
    """What they are made from; None where all that is asked of them has been computed."""
    computed: dict[str, Any] = field(default_factory=dict)
    """By name what has been computed: of what type it is says its `Computed`."""
    digest: str = ""
    """Of what the findings were made from: `files.report_digest`."""
    omissions: tuple[str, ...] = ()
    """Sentences about what the report leaves out, and why."""
    damaged: tuple[str, ...] = ()
    """Those of them that name a damaged file of the store."""
    about: tuple[str, ...] = ()
    """Sentences about the data and the models: `Grid.about`."""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def read(self) -> Evidence:
        """What they are made from. Raises LookupError where they were made without a store."""
        if self.evidence is None:
            raise LookupError("these findings have no store")
        return self.evidence

    def of(self, asked: Computed[T]) -> T:
        """What was asked for, computed now if it has not been."""
        if asked.name not in self.computed:
            known = self.evidence.known(asked) if self.evidence is not None and isinstance(asked, Table) else None
            self.computed[asked.name] = asked.compute(self) if known is None else known
        return cast(T, self.computed[asked.name])
