"""Pruning curves as charts: one panel a target."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from pipeline.experiment.spec import DENSE
from pipeline.lottery.counting import count_of
from pipeline.report.analysis.over_seeds import CURVES
from pipeline.report.charts.chart import Axis, Chart, Series, ends, numbers, percent
from pipeline.report.charts.columns import (
    Columns,
    Places,
    Spread,
    band_fields,
    edges_of,
    places_of,
    spread_in_words,
)
from pipeline.report.charts.lines import ACCURACY, LEFT, Looks, across, range_of_differences
from pipeline.report.charts.palette import DENSE_LABEL
from pipeline.report.findings import Findings

FIELDS = ("round", "weights that survive", "of", "% of the weights pruned", "n", "diverged", "without a result")
POINT = ["target", "source", "ticket", "round"]


def pruning_curves(findings: Findings) -> list[Chart]:
    """A panel for each target that has a result, in the grid's order."""
    points, places = points_by_curve(findings)
    looks = Looks.of(findings)
    baselines = {baseline.name for baseline in findings.spec.baselines}
    there = {target for target, *_ in places}
    spread = findings.spec.analysis.spread
    charts: list[Chart] = []
    for target in dict.fromkeys(findings.results["target"]):
        if target in there:
            series = looks.series(target, points, places)
            levels = [one for one in series if one.line and one.line.ticket in baselines]
            tickets = [one for one in series if not (one.line and one.line.ticket in baselines)]
            dense = dense_level(points, places, target)
            charts.append(panel(f"curves-{len(charts)}", target, tickets, dense, spread, levels))
    return charts


def points_by_curve(findings: Findings) -> tuple[Columns, Places]:
    """Points with a result and weights, in percent, and the places of each (target, source, ticket) in them.

    The least pruned come first. A count of zero is not worth a line of the hover.
    """
    curves = findings.of(CURVES)
    rows = curves[curves["mean"].notna() & (curves["survivors"] > 0)]
    rows = rows.sort_values("survivors", ascending=False, kind="stable").reset_index(drop=True)
    counts = [[count or None for count in rows[column].tolist()] for column in ("n_diverged", "n_missing")]
    whole = [rows[column].tolist() for column in ("round", "survivors", "total")]
    wide = findings.results.pivot_table("test_accuracy", POINT, "seed", aggfunc="mean", sort=False)
    of_seeds = wide.reindex(pd.MultiIndex.from_frame(rows[POINT])).to_numpy()
    columns = Columns(
        x=numbers((100 * rows["survivors"] / rows["total"]).tolist()),
        y=percent(rows["mean"]),
        edges=edges_of(findings.spec.analysis.spread, rows, percent),
        more=[*whole, percent(rows["fraction_pruned"]), rows["n"].tolist(), *counts],
        seeds=[percent(values) for values in of_seeds],
        marked=(rows["n_diverged"] > 0).tolist(),
    )
    return columns, places_of(rows, POINT[:3])


def dense_level(points: Columns, places: Places, target: str) -> list[Series]:
    """The dense network of a target, where it has one."""
    dense = [at for (of, _, ticket), at in places.items() if (of, ticket) == (target, DENSE)]
    return [points.series(DENSE_LABEL, at) for at in dense]


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
