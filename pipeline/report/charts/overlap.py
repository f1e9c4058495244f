"""Charts of what masks have in common, beside what chance gives."""

from __future__ import annotations

import pandas as pd

from pipeline.report.charts.chart import Axis, Chart, Series, numbers, percent, spelled
from pipeline.report.charts.curves import LEFT, look_of
from pipeline.report.charts.palette import Line
from pipeline.report.findings import Findings

OVERLAP = Axis("weights in common (%)", unit="%")
PAIRS_IN_ONE = 6
"""Pairs of sources that share a panel; of more, each source has a panel of its own."""
FIELDS = ("round", "n", "chance (%)", "chance within layers (%)")
MEANS = ["overlap", "chance", "chance_low", "chance_high", "chance_by_layer"]


def overlap_charts(findings: Findings) -> list[Chart]:
    """Overlap between sources at equal round and seed, against weights remaining."""
    rows = findings.overlap[findings.overlap["kind"] == "sources"]
    means = _means(rows)
    pairs = means[["source", "other_source"]].drop_duplicates()
    if means.empty:
        return []
    if len(pairs) <= PAIRS_IN_ONE:
        return [_panel("overlap-0", "between sources", means, {})]
    turned = means.rename(columns={"source": "other_source", "other_source": "source"})
    both = pd.concat([means, turned], ignore_index=True)
    looks = {line.source: line for line in look_of(findings).values() if line.winning and line.dash == 0}
    return [
        _panel(f"overlap-{number}", f"source: {source}", both[both["source"] == source], looks)
        for number, source in enumerate(looks)
        if (both["source"] == source).any()
    ]


def between_rounds(findings: Findings) -> list[Chart] | str:
    """Overlap of each source's masks with those of the evaluated round before, or a sentence where all are nested."""
    rows = findings.overlap[findings.overlap["kind"] == "rounds"]
    if rows.empty:
        return "No two rounds of one source have masks that could be compared."
    if (rows["overlap"] == 1).all():
        return (
            f"Between rounds: each of {len(rows)} masks lies within the mask of the evaluated round before it "
            "(100 % in common), as iterative pruning has it."
        )
    means = _means(rows.assign(other_source=""))
    looks = {line.source: line for line in look_of(findings).values() if line.winning and line.dash == 0}
    return [_panel("overlap-rounds", "between a round and the evaluated round before it", means, looks, other=False)]


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, all weights first."""
    rows = rows.assign(left=rows["survivors"] / rows["total"])
    columns = {name: (name, "mean") for name in MEANS}
    by = ["source", "other_source", "round"]
    means = rows.groupby(by, as_index=False, sort=False).agg(
        left=("left", "mean"), std=("overlap", "std"), n=("overlap", "count"), **columns
    )
    return means[means["left"] > 0].sort_values("left", ascending=False, kind="stable")


def _panel(name: str, title: str, means: pd.DataFrame, looks: dict[str, Line], other: bool = True) -> Chart:
    series = []
    for number, ((source, against), rows) in enumerate(means.groupby(["source", "other_source"], sort=False)):
        look = looks.get(str(against if other else source))
        label = (f"with {against}" if looks else f"{source} and {against}") if other else str(source)
        more = [rows["round"].tolist(), rows["n"].tolist(), percent(rows["chance"]), percent(rows["chance_by_layer"])]
        line = look or Line(str(source), "", label, number, 0, False, True)
        one = Series(label, numbers(100 * rows["left"]), percent(rows["overlap"]), line, more=more)
        one.spread = percent(rows["std"])
        series.append(one)
    words = spelled([(one.name, float(one.y[-1] or 0)) for one in series], " %")
    series += _chance(means)
    text = f"Weights that two masks of equal seed have in common, {title}; at the most pruned level: {words}."
    return Chart(name, title, text, LEFT, OVERLAP, series, FIELDS)


def _chance(means: pd.DataFrame) -> list[Series]:
    """What masks permuted over all weights, and within layers, would have in common: means over the panel's pairs."""
    by_level = means.groupby("round", sort=False)[["left", *MEANS]].mean()
    left = numbers(100 * by_level["left"])
    everywhere = Series("chance, over all layers", left, percent(by_level["chance"]), role="chance")
    everywhere.low, everywhere.high = percent(by_level["chance_low"]), percent(by_level["chance_high"])
    within = Series("chance, within layers", left, percent(by_level["chance_by_layer"]), role="chance", place=1.0)
    return [everywhere, within]
