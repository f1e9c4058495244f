"""Winning tickets as Mehta 2019, section 2, defines them: as accurate as a dense network, in no more iterations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.experiment.spec import ANY, DENSE
from pipeline.experiment.spec_analysis import EarlyStop
from pipeline.lottery.counting import count_of
from pipeline.report.analysis.convergence import convergence
from pipeline.report.analysis.over_seeds import ROUNDING, by_seed
from pipeline.report.analysis.paired import in_grid_order, paired, remarks, rows_at, unit_of
from pipeline.report.analysis.paired_tests import Floats, Marks
from pipeline.report.analysis.pairings import NONE
from pipeline.report.findings import Findings, Table
from pipeline.report.histories import HISTORIES
from pipeline.report.rows import columns, rows_of
from pipeline.report.sections.section import Fragment, Screen, Section
from pipeline.report.wording import interval, percent_left, points

if TYPE_CHECKING:
    from rich.text import Text

    from pipeline.experiment.spec import Spec

VALIDATION, END = "minimum of the validation loss", "end of training"
TYPES = columns(
    "source, target, ticket: string; round: int64; remaining: float64; reference, measured_at, unit: string; n: "
    "int64; accuracy, reference_accuracy, difference, low, high, iterations, reference_iterations: float64; wins: "
    "boolean; wins_in: Int64; remark: string"
)


def winning_tickets(results: pd.DataFrame, histories: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """One row for each (source, target, ticket, round) with a round above 0, in the grid's order: whether it wins.

    A ticket wins if it reaches at least its reference's test accuracy in at most as many iterations. The `reference` is
    round 0 of the kind of ticket that `analysis.reference` names, on the same source and target; without one the dense
    network trained from scratch on the target, its first draw. A ticket that all sources share, beside references that
    they do not share, has a row for each of them.

    Accuracy (in [0, 1]) and iteration of a run are those of the record of its smallest validation loss
    (`convergence.convergence`, early-stop), or of its end where the target has no validation images: `measured_at`. A
    run that diverged has the accuracy that it ended with, and wins in no time.

    `remaining`: weights, in [0, 1]. `n`: pairs, each a `unit` with a result of both; over these the means `accuracy`,
    `reference_accuracy`, `iterations` and `reference_iterations` (NaN where one diverged), `difference` of the
    accuracies with its 95 % t interval, `low` to `high`. `wins`: by the means, no test; NA where n is 0. `wins_in`: how
    many of the n win. `remark`: why there is no interval, "" where there is one.
    """
    first = results[(results["ticket"] != DENSE) | (results["draw"] == 0)]
    runs = _stops(first, histories)
    accuracies, iterations = by_seed(first, runs["accuracy"]), by_seed(first, runs["iteration"])
    rows = in_grid_order(_with_references(accuracies.points, spec), spec)
    accuracy, other_accuracy = (rows_at(accuracies.values, rows[name]) for name in ("place", "other"))
    iteration, other_iteration = (rows_at(iterations.values, rows[name]) for name in ("place", "other"))
    beside = paired(accuracy, other_accuracy)
    time = _mean(iteration, ~np.isnan(beside.values))
    other_time = _mean(other_iteration, ~np.isnan(beside.others))
    of_unit = _wins(accuracy - other_accuracy, iteration, other_iteration)
    reference, unit = spec.analysis.reference, unit_of(spec)
    whose = f"round 0 of {reference}" if reference else "the dense network"
    missing = f"there is no {whose} for it" if reference else "the grid trains no dense network for it"
    validated = set(first.loc[runs["validated"], "target"])
    table = rows.assign(
        remaining=rows["survivors"] / rows["total"],
        reference=reference or DENSE,
        measured_at=[VALIDATION if target in validated else END for target in rows["target"]],
        unit=unit,
        n=beside.n,
        accuracy=beside.mean,
        reference_accuracy=beside.other_mean,
        difference=beside.difference,
        low=beside.low,
        high=beside.high,
        iterations=np.where(np.isinf(time), np.nan, time),
        reference_iterations=np.where(np.isinf(other_time), np.nan, other_time),
        wins=pd.Series(_wins(beside.difference, time, other_time)).astype("boolean").mask(beside.n == 0),
        wins_in=pd.Series(of_unit.sum(axis=1)).astype("Int64").mask(beside.n == 0),
        remark=remarks(beside, np.where(rows["other"] == NONE, missing, "").astype(object), whose, unit),
    )
    return table.reindex(columns=list(TYPES)).astype(TYPES)


def _stops(results: pd.DataFrame, histories: pd.DataFrame) -> pd.DataFrame:
    """`accuracy`, `iteration` and whether it was `validated`, of each run; NaN where its records were not read."""
    stops = convergence(histories, EarlyStop()).set_index("stage")
    stage = results["stage"]
    stopped = stage.map(stops["converged"]).astype("boolean")
    last = stage.map(histories.groupby("stage")["iteration"].max()).astype("float64")
    validated = stopped.fillna(False).astype(bool)
    diverged = (~stopped.fillna(True)).astype(bool) | (results["status"] == "diverged").astype(bool)
    return pd.DataFrame(
        {
            "accuracy": stage.map(stops["accuracy"]).where(validated, results["test_accuracy"]).where(last.notna()),
            "iteration": stage.map(stops["iteration"]).where(validated, last).mask(diverged & last.notna(), np.inf),
            "validated": validated,
        }
    )


def _with_references(points: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """A row for each pruned ticket and reference of it: its `place` in `points`, and the `other`'s, or NONE."""
    name = spec.analysis.reference or DENSE
    zero = points[(points["ticket"] == name) & (points["round"] == 0)]
    places = {(row.source, row.target): row.index for row in rows_of(zero)}
    rows = []
    for row in rows_of(points[(points["round"] > 0) & (points["ticket"] != DENSE)]):
        of_all = places.get((ANY, row.target), NONE)
        found = {row.source: places.get((row.source, row.target), of_all)}
        if row.source == ANY and of_all == NONE:
            found = {source: at for (source, target), at in places.items() if target == row.target} or found
        rows += [(row.index, source, at) for source, at in found.items()]
    chosen = pd.DataFrame(rows, columns=["place", "source", "other"]).astype({"place": "int64", "other": "int64"})
    return points.iloc[chosen["place"]].reset_index(drop=True).assign(**chosen)


def _mean(values: Floats, counted: Marks) -> Floats:
    """Of each row over the units `counted`; infinite where one of them is, NaN where there is none."""
    n = counted.sum(axis=1)
    mean: Floats = np.divide(np.where(counted, values, 0).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)
    return mean


def _wins(difference: Floats, time: Floats, other_time: Floats) -> Marks:
    """At least as accurate, in at most as many iterations; neither run may have diverged."""
    marks: Marks = (difference >= -ROUNDING) & (time <= other_time * (1 + ROUNDING)) & np.isfinite(other_time)
    return marks


KIND = ["source", "target", "ticket"]
SHOWN = 200
"""Kinds of ticket in the page's table; of more, the files have the rest."""
SMALLEST, BEST = "smallest", "most accurate"
SPELLED_OUT = 12
"""Kinds of ticket, by source and target, that have a sentence each."""
CAUTION = (
    "That a ticket wins is a statement about means, not a test: the interval of the difference says how far its "
    "accuracy may lie below the reference's. The smallest and the most accurate one are picked from several rounds, "
    "which favours lucky ones."
)


def winning_rows(table: pd.DataFrame) -> list[SimpleNamespace]:
    """One or two for each (source, target, ticket) of the table `winning_tickets`, in its order.

    They are the smallest winning ticket and the most accurate one, or where none wins the most accurate of those that
    do not. `which`: of these, or that none wins, and of which it is not known. Accuracies are in percent, differences
    in points; all are text, and empty where there is no number.
    """
    return [row for kind, rows in table.groupby(KIND, sort=False) for row in _of_kind(tuple(map(str, kind)), rows)]


def kinds(table: pd.DataFrame, count: int) -> tuple[pd.DataFrame, int]:
    """The rows of the first `count` (source, target, ticket), and how many more there are."""
    place = table.groupby(KIND, sort=False).ngroup()
    return table[place < count], max(0, int(place.max()) + 1 - count)


def what_wins(table: pd.DataFrame) -> str:
    """What a winning ticket is held against, and when accuracy and iterations are read."""
    first = next(rows_of(table))
    against = (
        "the dense network trained from scratch on the target"
        if first.reference == DENSE
        else f"round 0 of {first.reference}, the dense network, on the same source and target"
    )
    of_target = table.groupby("measured_at", sort=False)["target"].unique()
    moments = [
        f"at the {moment}" + (f" on {', '.join(targets)}" if len(of_target) > 1 else "")
        for moment, targets in of_target.items()
    ]
    return (
        "A ticket wins if it reaches at least the test accuracy of its reference in at most as many iterations (Mehta "
        f"2019, section 2). The reference is {against}. Both are read {' and '.join(moments)}."
    )


def winning_sentences(table: pd.DataFrame) -> list[str]:
    """Which tickets win, in a sentence for each (source, target, ticket); of many of them how many have one."""
    if table.empty:
        return []
    _, more = kinds(table, SPELLED_OUT)
    if more:
        some = len(table[table["wins"].fillna(False).astype(bool)].drop_duplicates(KIND))
        every = f"{more + SPELLED_OUT:,} kinds of ticket, by source and target"
        count = "none has a winning one" if not some else f"{count_of(some, 'has', 'have')} a winning one"
        return [what_wins(table), f"Of {every}, {count}; the report has them.", CAUTION]
    of_kind: dict[tuple[str, str, str], list[SimpleNamespace]] = {}
    for one in winning_rows(table):
        of_kind.setdefault((one.source, one.target, one.ticket), []).append(one)
    return [what_wins(table), *map(_sentence, of_kind.values()), CAUTION]


def _of_kind(names: tuple[str, ...], rows: pd.DataFrame) -> Iterator[SimpleNamespace]:
    winning = rows[rows["wins"].fillna(False).astype(bool)]
    if winning.empty:
        known = rows[rows["n"] > 0]
        yield _row_of(names, _none(rows), _best(known))
        return
    smallest, best = winning.sort_values("remaining", kind="stable").head(1), _best(winning)
    if smallest.index.equals(best.index):
        yield _row_of(names, f"{SMALLEST} and {BEST}", best)
        return
    yield _row_of(names, SMALLEST, smallest)
    yield _row_of(names, BEST, best)


def _best(rows: pd.DataFrame) -> pd.DataFrame:
    """The most accurate row, the smallest of equals; none of no rows."""
    return rows.sort_values(["accuracy", "remaining"], ascending=[False, True], kind="stable").head(1)


def _row_of(names: tuple[str, ...], which: str, chosen: pd.DataFrame) -> SimpleNamespace:
    """`chosen`: the row, or none where nothing is known."""
    about = dict(zip(KIND, names, strict=True)) | {"which": which}
    for row in rows_of(chosen):
        return SimpleNamespace(
            **about,
            **{name: str(getattr(row, name)) for name in ("round", "n", "wins_in", "unit")},
            wins=bool(row.wins),
            left=percent_left(row.remaining),
            accuracy=f"{100 * row.accuracy:.2f}",
            reference=f"{100 * row.reference_accuracy:.2f}",
            difference=points(row.difference),
            interval=row.remark or interval(row),
            iterations=_count(row.iterations),
            reference_iterations=_count(row.reference_iterations),
        )
    return SimpleNamespace(**about, wins=False, n="")


def _count(iterations: float) -> str:
    return "none (diverged)" if math.isnan(iterations) else f"{iterations:,.0f}"


def _none(rows: pd.DataFrame) -> str:
    """That no round wins, and why of some it cannot be said."""
    known = rows["n"] > 0
    unknown = "; ".join(dict.fromkeys(rows.loc[~known, "remark"]))
    if not known.any():
        return f"not known: {unknown}"
    count = int(known.sum())
    more = f", {len(rows) - count} not known: {unknown}" if count < len(rows) else ""
    return f"no winning ticket ({count_of(count, 'round')} evaluated{more})"


def _sentence(of_kind: list[SimpleNamespace]) -> str:
    first = of_kind[0]
    where = f"{first.source} -> {first.target}, {first.ticket}:"
    if not first.wins:
        best = f"; the most accurate one {_numbers(first)}" if first.n else ""
        return f"{where} {first.which}{best}."
    return f"{where} {'; '.join(map(_clause, of_kind))}."


def _clause(one: SimpleNamespace) -> str:
    return f"the {one.which} winning ticket {_numbers(one)}"


def _numbers(one: SimpleNamespace) -> str:
    units = one.unit + "s" * (one.n != "1")
    return (
        f"has {one.left} of the weights, {one.accuracy} % beside {one.reference} % ({one.difference} points, "
        f"{one.interval}) after {one.iterations} iterations beside {one.reference_iterations}, and wins in "
        f"{'none' if one.wins_in == '0' else one.wins_in} of {one.n} {units}"
    )


WINNING_TICKETS = Table(
    "winning_tickets",
    lambda findings: winning_tickets(findings.results, findings.of(HISTORIES), findings.spec),
    reads_store=True,
)


def _page(findings: Findings) -> Fragment:
    """Without a table where there is nothing to hold tickets against."""
    table = findings.of(WINNING_TICKETS)
    if table.empty or (findings.spec.analysis.reference is None and not findings.spec.dense):
        return Fragment({"winning": False})
    shown, more = kinds(table, SHOWN)
    about = {"about": what_wins(table), "unit": unit_of(findings.spec), "caution": CAUTION}
    return Fragment({"winning": True, "rows": winning_rows(shown), "more": more, **about})


def _lines(findings: Findings, screen: Screen) -> Iterator[Text]:
    """Where the grid names a reference."""
    from rich.text import Text

    if findings.spec.analysis.reference is not None:
        yield from map(Text, winning_sentences(findings.of(WINNING_TICKETS)))


SECTION = Section(
    "winning_tickets", "Winning tickets", "Winning tickets", _page, computed=(WINNING_TICKETS,), lines=_lines
)
