"""The numbers of a paper that a grid gives, and which points of the grid they are of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.experiment.spec import Spec
    from pipeline.experiment.spec_analysis import PublishedTest, PublishedValue

POINT = ["target", "source", "ticket", "round"]


def published_values(spec: Spec, metric: str) -> list[PublishedValue]:
    """What the grid gives of one metric (`analysis.published`)."""
    published = spec.analysis.published
    return [value for value in published.values if value.metric == metric] if published else []


def is_of(value: PublishedValue | PublishedTest, row: SimpleNamespace) -> bool:
    """Whether a published value is of a row that has `source`, `target`, `ticket` and `round`: what is not given is."""
    asked = [(getattr(value, name), getattr(row, name)) for name in POINT]
    return all(wanted is None or wanted == there for wanted, there in asked)
