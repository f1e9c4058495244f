"""Learning curves over seeds, of trainings at any levels of pruning."""

from __future__ import annotations

import pandas as pd

from pipeline.report.charts.chart import Axis, numbers, percent
from pipeline.report.charts.columns import Columns, Places, Spread, band_fields, edges_of, places_of
from pipeline.report.findings import Findings
from pipeline.report.histories import HISTORIES
from pipeline.report.rows import evenly

RECORDS = 100
"""Records drawn of a learning curve: more cannot be told apart on a panel."""
ALL_RECORDS, FEWEST_RECORDS = 40_000, 12
"""Records of all learning curves together, which a grid of thousands of curves keeps to; but so many of each."""
ITERATION = Axis("iteration")
CURVE = ["target", "source", "ticket"]


def learning_fields(spread: Spread) -> tuple[str, ...]:
    """What the hover calls the columns of the lines of `records_by_curve`."""
    return ("n", *band_fields(spread, "%"))


def records_by_curve(findings: Findings, results: pd.DataFrame, by: list[str]) -> tuple[Columns, Places]:
    """Means of the records of some trainings, and the places of each curve in them, in the order of its iterations.

    `by`: the columns of `results` whose values name a curve. Of a curve with many records some are left out, never the
    first and the last.
    """
    records = results[[*by, "seed", "stage"]].merge(findings.of(HISTORIES), on="stage")
    records = records[records["iteration"] > 0]  # a network that was only evaluated has learned nothing
    by_seed = records.groupby([*by, "iteration", "seed"], sort=False)["test_accuracy"].mean()
    means = by_seed.groupby(level=[*by, "iteration"], sort=False).agg(["mean", "std", "count"])
    runs = records.groupby([*by, "iteration"], sort=False)["test_accuracy"].agg(least="min", greatest="max")
    means = means.join(runs).reset_index()
    means = means[means["mean"].notna()].sort_values("iteration", kind="stable").reset_index(drop=True)
    edges = edges_of(findings.spec.analysis.spread, means, percent)
    columns = Columns(numbers(means["iteration"]), percent(means["mean"]), edges, [means["count"].tolist()])
    places = places_of(means, by)
    most = min(RECORDS, max(FEWEST_RECORDS, ALL_RECORDS // max(1, len(places))))
    return columns, {curve: evenly(at, most) for curve, at in places.items()}
