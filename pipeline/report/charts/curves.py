"""Pruning curves as charts: one panel a target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.experiment.spec import DENSE
from pipeline.lottery.counting import count_of
from pipeline.report.analysis.over_seeds import CURVES
from pipeline.report.charts.bands import Bands, Spread, band_fields, spread_in_words
from pipeline.report.charts.chart import Axis, Chart, Series, ends, numbers, percent
from pipeline.report.charts.lines import ACCURACY, LEFT, across, look_of, own_lines, range_of_differences
from pipeline.report.charts.palette import DENSE_LABEL
from pipeline.report.findings import Findings

FIELDS = ("round", "weights that survive", "of", "% of the weights pruned", "n", "diverged", "without a result")
POINT = ["target", "source", "ticket", "round"]


def pruning_curves(findings: Findings) -> list[Chart]:
    """A panel for each target that has a result, in the grid's order."""
    points, groups = points_by_curve(findings)
    looks = look_of(findings)
    own = own_lines(findings)
    baselines = {baseline.name for baseline in findings.spec.baselines}
    there = {target for target, _, _ in groups}
    targets = [target for target in dict.fromkeys(findings.results["target"]) if target in there]
    charts = []
    for number, target in enumerate(targets):
        series: dict[str, list[Series]] = {"tickets": [], "baselines": []}
        for (source, ticket), line in looks.items():
            if (target, source, ticket) in groups:
                one = points.series(line.label, groups[target, source, ticket])
                one.line, one.own = line, (target, source) in own
                series["baselines" if ticket in baselines else "tickets"].append(one)
        dense, spread = dense_level(points, groups, target), findings.spec.analysis.spread
        charts.append(panel(f"curves-{number}", str(target), series["tickets"], dense, spread, series["baselines"]))
    return charts


def points_by_curve(findings: Findings) -> tuple[Points, dict[Any, Any]]:
    """Points with a result and weights, and the places of each (target, source, ticket), the least pruned first."""
    curves = findings.of(CURVES)
    drawn = curves[curves["mean"].notna() & (curves["survivors"] > 0)]
    drawn = drawn.sort_values("survivors", ascending=False, kind="stable").reset_index(drop=True)
    return Points.of(drawn, findings), dict(drawn.groupby(POINT[:3], sort=False).indices)


def dense_level(points: Points, groups: dict[Any, Any], target: str) -> list[Series]:
    """The dense network of a target, where it has one."""
    dense = [at for (of, _, ticket), at in groups.items() if (of, ticket) == (target, DENSE)]
    return [points.series(DENSE_LABEL, at) for at in dense]


@dataclass(frozen=True, slots=True)
class Points:
    """Rows of `curves` as columns for JSON. Made once for all panels: pandas is slow at thousands of small tables."""

    x: list[Any]
    y: list[Any]
    bands: Bands
    more: list[list[Any]]
    seeds: list[list[Any]]
    diverged: list[int]

    @classmethod
    def of(cls, rows: pd.DataFrame, findings: Findings) -> Points:
        """Percent throughout; a count of zero is not worth a line of the hover."""
        counts = [[count or None for count in rows[column].tolist()] for column in ("n_diverged", "n_missing")]
        whole = [rows[column].tolist() for column in ("round", "survivors", "total")]
        return cls(
            x=numbers((100 * rows["survivors"] / rows["total"]).tolist()),
            y=percent(rows["mean"]),
            bands=Bands.of(findings.spec.analysis.spread, rows, percent),
            more=[*whole, percent(rows["fraction_pruned"]), rows["n"].tolist(), *counts],
            seeds=_by_seed(findings.results, rows),
            diverged=rows["n_diverged"].tolist(),
        )

    def series(self, name: str, places: Iterable[int]) -> Series:
        at = [int(place) for place in places]
        return Series(
            name=name,
            x=_at(self.x, at),
            y=_at(self.y, at),
            more=[*(_at(column, at) for column in self.more), *self.bands.more(at)],
            seeds=[list(values) for values in zip(*_at(self.seeds, at), strict=True)],
            marked=[place for place, number in enumerate(at) if self.diverged[number]],
            **self.bands.at(at),
        )


def _at(column: list[Any], places: Sequence[int]) -> list[Any]:
    return [column[place] for place in places]


def _by_seed(results: pd.DataFrame, rows: pd.DataFrame) -> list[list[Any]]:
    """Accuracy in percent, one list of seeds for each row, None where a seed has no result."""
    wide = results.pivot_table(index=POINT, columns="seed", values="test_accuracy", aggfunc="mean", sort=False)
    return [percent(values) for values in wide.reindex(pd.MultiIndex.from_frame(rows[POINT])).to_numpy()]


def panel(
    name: str,
    target: str,
    tickets: list[Series],
    dense: list[Series],
    spread: Spread,
    baselines: Sequence[Series] = (),
    what: str = "tickets",
    x: Axis = LEFT,
    title: str = "",
) -> Chart:
    """Lines of test accuracy on a target, its dense network as a level and baselines. `what`: the lines are of."""
    least = min((one.x[-1] for one in tickets), default=50)
    words = f" Pruned the most: {ends(tickets, ' %')}." if tickets else ""
    for level in [*dense, *baselines]:
        words += f" The {level.name} has {level.y[0]:.4g} %."
        across(level, least)
    for level in dense:
        level.role = "level"
    series = [*tickets, *baselines, *dense]
    return Chart(
        id=name,
        title=title or f"target: {target}",
        alternative=(
            f"Test accuracy on {target} ({spread_in_words(spread)}) against {x.title.removesuffix(' (%)')}, "
            f"{len(tickets)} {what}.{words}"
        ),
        x=x,
        y=ACCURACY,
        series=series,
        fields=(*FIELDS, *band_fields(spread, "%")),
        zoom=range_of_differences(series),
    )


def seeds_in_words(findings: Findings) -> str:
    """How many seeds the points have, for titles; and of how many runs that diverged."""
    curves = findings.of(CURVES)
    there = curves[curves["n"] > 0]
    least, most = int(there["n"].min()), int(there["n"].max())
    diverged = int(there["n_diverged"].sum())
    seeds = f"n = {most}" if least == most else f"n = {least} to {most}"
    return seeds + (f", {count_of(diverged, 'diverged run')} among them" if diverged else "")
