"""Charts of trainings: learning curves at one level of pruning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.report.charts.bands import Bands, Spread, band_fields
from pipeline.report.charts.chart import Axis, Series, numbers, percent
from pipeline.report.findings import Findings
from pipeline.report.histories import HISTORIES

RECORDS = 100
"""Records drawn of a learning curve: more cannot be told apart on a panel."""
ALL_RECORDS, FEWEST_RECORDS = 40_000, 12
"""Records of all learning curves together, which a grid of thousands of curves keeps to; but so many of each."""
ITERATION = Axis("iteration")
CURVE = ["target", "source", "ticket"]


def learning_fields(spread: Spread) -> tuple[str, ...]:
    """What the hover calls the columns of the series of `Records`."""
    return ("n", *band_fields(spread, "%"))


@dataclass(frozen=True, slots=True)
class Records:
    """Learning curves over seeds as columns for JSON."""

    groups: dict[Any, npt.NDArray[np.int64]]
    """The rows of each curve, in the order of its iterations."""
    x: list[Any]
    y: list[Any]
    bands: Bands
    n: list[int]
    """Seeds."""
    most: int
    """Records drawn of each."""

    @classmethod
    def of(cls, findings: Findings, here: pd.DataFrame, by: list[str]) -> Records:
        """Of the trainings of some results; each value of the columns `by` is one curve."""
        records = here[[*by, "seed", "stage"]].merge(findings.of(HISTORIES), on="stage")
        records = records[records["iteration"] > 0]  # a network that was only evaluated has learned nothing
        by_seed = records.groupby([*by, "iteration", "seed"], sort=False)["test_accuracy"].mean()
        means = by_seed.groupby(level=[*by, "iteration"], sort=False).agg(["mean", "std", "count"])
        runs = records.groupby([*by, "iteration"], sort=False)["test_accuracy"].agg(least="min", greatest="max")
        means = means.join(runs).reset_index()
        means = means[means["mean"].notna()].sort_values("iteration", kind="stable")
        groups: dict[Any, Any] = dict(means.groupby(by, sort=False).indices)
        return cls(
            groups=groups,
            x=numbers(means["iteration"]),
            y=percent(means["mean"]),
            bands=Bands.of(findings.spec.analysis.spread, means, percent),
            n=means["count"].tolist(),
            most=min(RECORDS, max(FEWEST_RECORDS, ALL_RECORDS // max(1, len(groups)))),
        )

    def series(self, name: str, curve: Any) -> Series:
        at = _thinned(np.asarray(self.groups[curve]), self.most).tolist()
        x, y, n = ([column[place] for place in at] for column in (self.x, self.y, self.n))
        return Series(name, x, y, more=[n, *self.bands.more(at)], **self.bands.at(at))


def _thinned(places: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """At most `most` of them, the first and the last among them."""
    if len(places) <= most:
        return places
    spread: npt.NDArray[np.int64] = np.unique(np.linspace(0, len(places) - 1, most).round().astype(np.int64))
    return places[spread]
