"""Numbers of a paper beside ours: means over seeds of test accuracy and convergence."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.experiment.spec import ANY, DENSE
from pipeline.report.analysis.convergence import CONVERGENCE as CONVERGED
from pipeline.report.analysis.convergence import when_converged
from pipeline.report.analysis.networks import NETWORKS
from pipeline.report.analysis.over_seeds import by_seed, moments
from pipeline.report.analysis.paired_tests import half_width
from pipeline.report.analysis.paper_values import POINT, is_of
from pipeline.report.findings import Findings, Table
from pipeline.report.rows import columns, rows_of, table_of
from pipeline.report.sections.networks import TITLES
from pipeline.report.sections.section import Fragment, Section
from pipeline.report.wording import shown

if TYPE_CHECKING:
    from pipeline.experiment.spec import Spec
    from pipeline.experiment.spec_analysis import PublishedValue
    from pipeline.report.analysis.over_seeds import BySeed

TYPES = columns(
    "metric, versus, target, source, ticket: string; round: Int64; fraction_pruned: float64; n: Int64; mean, low, "
    "high, published, difference: float64"
)


def beside_paper(results: pd.DataFrame, converged: pd.DataFrame, networks: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """One row for each published value and each point of the grid that it is of, in the grid's order of values.

    `metric`: `test_accuracy` (in [0, 1]), `convergence` (in iterations) or `accuracy_at_convergence`. `mean`, and `low`
    and `high` (its 95 % t interval, NaN for fewer than two seeds) are ours over `n` seeds with a result, for
    convergence those that converged. `versus`: the ticket that the number is relative to, seed by seed (accuracies
    minus, convergence divided by its own), where the value names one. `difference`: ours minus what is `published`. A
    value that is of no point has one row, with the names that it gives. So has a share of networks that succeed and is
    of none: those that are of some stand in `networks.networks`.
    """
    if spec.analysis.published is None:
        return table_of([], TYPES)
    ours = {
        "test_accuracy": by_seed(results, results["test_accuracy"]),
        "convergence": when_converged(results, converged, "iteration"),
        "accuracy_at_convergence": when_converged(results, converged, "accuracy"),
    }
    rows = []
    for value in spec.analysis.published.values:
        seeds = ours.get(value.metric)
        found = [] if seeds is None else list(_measured(value, seeds))
        rows += [[value.metric, value.versus, *numbers, value.value] for numbers in found]
        if not found and not (seeds is None and any(is_of(value, row) for row in rows_of(networks))):
            names = [getattr(value, name) for name in POINT]
            rows.append([value.metric, value.versus, *names, np.nan, pd.NA, np.nan, np.nan, np.nan, value.value])
    table = pd.DataFrame(rows, columns=list(TYPES)[:-1])
    return table.assign(difference=table["mean"] - table["published"]).astype(TYPES)


def _measured(value: PublishedValue, seeds: BySeed) -> Iterable[list[Any]]:
    """Names, n, mean and interval of each point that a value is of, relative to another one if it says so."""
    points = seeds.points
    for place, row in enumerate(rows_of(points)):
        if not is_of(value, row):
            continue
        of_seed = seeds.values[place]
        if value.versus is not None:
            same = (points["target"] == row.target) & (points["ticket"] == value.versus)
            if value.versus != DENSE:
                same &= points["source"].isin([row.source, ANY]) & (points["round"] == row.round)
            places = np.flatnonzero(same)
            if not len(places):
                continue
            other = seeds.values[places[0]]
            of_seed = of_seed / other if value.metric == "convergence" else of_seed - other
        n, mean, std = moments(of_seed[None])
        half = half_width(std, n)
        numbers = [mean[0], mean[0] - half[0], mean[0] + half[0]]
        yield [*(getattr(row, name) for name in [*POINT, "fraction_pruned"]), n[0], *numbers]


CONVERGENCE = "convergence"
WORDS = {
    "test_accuracy": "test accuracy (%)",
    CONVERGENCE: "iterations to convergence",
    "accuracy_at_convergence": "test accuracy at convergence (%)",
}
WORDS |= {metric: f"{title} (%)" for metric, title in TITLES.items()}


def _table(findings: Findings) -> pd.DataFrame:
    return beside_paper(findings.results, findings.of(CONVERGED), findings.of(NETWORKS), findings.spec)


BESIDE_PAPER = Table("beside_paper", _table)


def _page(findings: Findings) -> Fragment | None:
    rows = beside_paper_rows(findings.of(BESIDE_PAPER))
    return Fragment({"beside_paper": rows}) if rows else None


def beside_paper_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """Names, and numbers as they are shown; empty for what a published value does not name or we do not have."""
    rows = []
    for row in rows_of(table):
        relative, is_moment = not pd.isna(row.versus), row.metric == CONVERGENCE
        digits = ",.0f" if is_moment and not relative else ",.2f" if is_moment else ".2f"
        form = partial(_number, scale=1 if is_moment else 100, digits=digits)
        none = "no such point" if pd.isna(row.n) else "no seed converged" if is_moment else "no result"
        apart = "divided by" if is_moment else "minus"
        rows.append(
            {
                **{name: shown(getattr(row, name)) for name in ("target", "source", "ticket", "round", "n")},
                "what": WORDS[row.metric] + f", {apart} {row.versus}'s" * relative,
                "ours": form(row.mean) or none,
                "interval": f"{form(row.low)} to {form(row.high)}" if row.low == row.low else "",
                "paper": form(row.published),
                "difference": form(row.difference, "+"),
            }
        )
    return rows


def _number(value: float, sign: str = "", *, scale: int, digits: str) -> str:
    return shown(scale * value, f"{{:{sign}{digits}}}".format)


SECTION = Section("beside_paper", "Beside the paper", "Beside the paper", _page, computed=(BESIDE_PAPER,))
