"""At a glance: does the ticket transfer, from where, how far, and is the difference real, in sentences.

"No difference is shown" is not "equal": equivalence is said only where two one-sided tests show it within the margin.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.experiment.spec import DENSE
from pipeline.lottery.counting import count_of
from pipeline.report.analysis.comparisons import COMPARISONS, LEVEL, PAIR, at_level, reach
from pipeline.report.analysis.levels import level_of
from pipeline.report.analysis.networks import NETWORKS
from pipeline.report.analysis.over_seeds import CURVES
from pipeline.report.analysis.paired_tests import SIGNIFICANT
from pipeline.report.findings import Findings
from pipeline.report.rows import rows_of
from pipeline.report.sections.networks import how_many_succeed, is_all
from pipeline.report.sections.section import Fragment, Screen, Section
from pipeline.report.wording import interval, listed, margin_points, p_equals, percent_left, points

if TYPE_CHECKING:
    from rich.text import Text


def _answers(findings: Findings) -> list[str]:
    """Where no comparison can be tested and single networks are counted, these are all that is said."""
    counted = how_many_succeed(findings.of(NETWORKS))
    if is_all(findings):
        return counted
    return [*counted, *answers(findings.of(COMPARISONS), findings.of(LEVEL), findings.of(CURVES))]


def _page(findings: Findings) -> Fragment:
    level = None if is_all(findings) else findings.of(LEVEL)
    return Fragment({"level": level, "answers": _answers(findings), "about": findings.about})


def _lines(findings: Findings, screen: Screen) -> Iterator[Text]:
    from rich.text import Text

    yield from map(Text, _answers(findings))
    if not is_all(findings):
        yield from map(Text, differences(findings.of(COMPARISONS), findings.of(LEVEL)))


SECTION = Section("glance", "At a glance", "At a glance", _page, lines=_lines, turn=3)


SPELLED_OUT = 8
"""Transfers, sources or targets that get a clause each; of more of them, the best and the worst."""


def answers(compared: pd.DataFrame, level: float | None, curves: pd.DataFrame) -> list[str]:
    """The four questions, answered from `comparisons` at one level (weights remaining, in [0, 1]) and from `curves`.

    Each sentence names the test that it rests on, how many tests were corrected for, and what could not be tested. A
    last one names the sources that are not evaluated at this level. `compared` and `curves` are whole tables.
    """
    if level is None:
        return ["The grid has no winning ticket beside a control, another source's ticket or a dense network."]
    here = at_level(compared, level)
    if not here["n"].any():
        return [f"With {percent_left(level)} of the weights left, no comparison has results yet."]
    sentences = []
    for ticket in dict.fromkeys(here["ticket"]):
        rows = here[here["ticket"] == ticket]
        transferred = _transferred(rows)
        sentences += [
            _does_it_transfer(rows, transferred, level),
            *_from_where(rows, transferred, level),
            *_how_far(compared[(compared["ticket"] == ticket) & (compared["comparison"] == "dense")], curves),
        ]
    return [*dict.fromkeys(sentences), *_is_it_real(here, level, curves), *_not_evaluated(compared, here, level)]


def differences(compared: pd.DataFrame, level: float | None) -> list[str]:
    """A sentence for each comparison with a control and with the target's own ticket; none where these are many."""
    rows = at_level(compared, level)
    rows = rows[rows["comparison"].isin(["control", "transfer"])]
    return [_difference(row) for row in rows_of(rows)] if len(rows) <= SPELLED_OUT else []


def _transferred(rows: pd.DataFrame) -> pd.Series[bool]:
    """Whether each row is of a ticket on a target that is not its own source."""
    pairs = pd.MultiIndex.from_frame(rows.loc[rows["comparison"] == "transfer", PAIR])
    return pd.Series(pd.MultiIndex.from_frame(rows[PAIR]).isin(pairs), index=rows.index)


def _does_it_transfer(rows: pd.DataFrame, transferred: pd.Series[bool], level: float) -> str:
    question = f"Does the {rows['ticket'].iloc[0]} ticket transfer?"
    if not transferred.any():
        return f"{question} No source is evaluated on another target at this level."
    controls = rows[transferred & (rows["comparison"] == "control")]
    clauses = [
        f"{tally(of_one, f'{reference} ones')}." for reference, of_one in controls.groupby("reference", sort=False)
    ]
    own = rows[rows["comparison"] == "transfer"]
    clauses.append(f"{tally(own, 'tickets of the target itself')}.{equivalence(own)}")
    first = f"With {percent_left(level)} of the weights left, transferred tickets are {clauses[0]}"
    return " ".join([question, first, *(f"They are {other}" for other in clauses[1:])])


def _from_where(rows: pd.DataFrame, transferred: pd.Series[bool], level: float) -> list[str]:
    clauses = []
    for (comparison, reference), of_one in rows[transferred].groupby(["comparison", "reference"], sort=False):
        means = of_one.groupby("source", sort=False)["difference"].mean().dropna()
        if comparison == DENSE or len(means) <= 1:
            continue
        ranked = [f"{source} {points(mean)}" for source, mean in means.sort_values(ascending=False).items()]
        if len(ranked) > SPELLED_OUT:
            ranked = [*ranked[: SPELLED_OUT - 1], f"... {ranked[-1]}"]
        against = f"{reference} ones" if comparison == "control" else "tickets of the target itself"
        clauses.append(f"beside {against}: {', '.join(ranked)}")
    if not clauses:
        return []
    ticket = rows["ticket"].iloc[0]
    return [
        f"From where does the {ticket} ticket transfer best? Means of the differences over other targets with "
        f"{percent_left(level)} of the weights left, in points, {'; '.join(clauses)}. "
        "Sources are not tested against one another."
    ]


def _how_far(dense: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    if dense.empty:
        return ["How far can it be pruned? Not said: `dense: false` trains no network from scratch on a target."]
    ticket, margin = dense["ticket"].iloc[0], margin_of(dense)
    of_dense = curves[curves["ticket"] == DENSE].set_index("target")["mean"]
    how_far = reach(dense)
    if not how_far["tested"].any():
        return [f"How far can the {ticket} ticket be pruned? Not tested beside the dense network ({reasons(dense)})."]
    clauses = []
    if len(how_far) <= SPELLED_OUT:
        for target, of_target in how_far.groupby("target", sort=False):
            accuracy = f" (dense: {100 * of_dense[target]:.1f} %)" if of_dense.get(target, -1) >= 0 else ""
            far = [f"{_level(row)} from {row.source}" for row in rows_of(of_target)]
            clauses.append(f"on {target}{accuracy} {listed(far)}")
    else:
        some = how_far[how_far["left"].notna()].sort_values("left")
        for words, end in (("furthest", some.head(1)), ("least far", some.tail(1))):
            clauses += [f"{words} {_level(row)} ({row.source} -> {row.target})" for row in rows_of(end)]
        untested = int((how_far["tested"] == 0).sum())
        none = len(how_far) - len(some) - untested
        for words, count in (("no level", none), ("no test", untested)):
            clauses += [f"{words} {in_transfers(count, len(how_far))}"] * (count > 0)
    return [
        f"How far can the {ticket} ticket be pruned? Less than {margin} worse than the dense network down to: "
        f"{'; '.join(clauses)} (one-sided paired t-tests, p < {SIGNIFICANT:g} at this and every less pruned level "
        "evaluated, not corrected over transfers)."
    ]


def _is_it_real(here: pd.DataFrame, level: float, curves: pd.DataFrame) -> list[str]:
    clauses = []
    for (ticket, reference), rows in here[here["comparison"] == "control"].groupby(["ticket", "reference"], sort=False):
        tested = rows[rows["remark"] == ""]
        if tested.empty:
            clauses.append(f"{ticket} minus {reference} cannot be tested ({reasons(rows)})")
            continue
        seeds = " to ".join(dict.fromkeys([str(tested["n"].min()), str(tested["n"].max())]))
        effects = " to ".join(dict.fromkeys(f"{value:.1f}" for value in tested["effect"].agg(["min", "max"])))
        real = int((tested["p_holm"] < SIGNIFICANT).sum())
        of_all = "its one test" if len(tested) == 1 else f"{real or 'any'} of {len(tested)} tests"
        corrected = ", Holm-corrected over all of them," * (len(tested) > 1)
        clauses.append(
            f"{ticket} minus {reference} has {'p' if real else 'no p'} < {SIGNIFICANT:g} in {of_all} on {seeds} seeds"
            f"{corrected} with {'an effect' if len(tested) == 1 else 'effects'} (Hedges' g) of {effects}"
        )
    # of several rounds at one level only the first is compared
    diverged = int(curves.loc[(level_of(curves) == level) & curves["round"].isin(here["round"]), "n_diverged"].sum())
    runs = "run counts with its" if diverged == 1 else "runs count with their"
    counted = f" {diverged} diverged {runs} accuracy." if diverged else ""
    answer = f"{'; '.join(clauses)}." if clauses else "The grid has no control to compare with."
    if (here["remark"] != "").all():
        return [f"Is the difference real? {answer}{counted}"]
    limits = (
        "Where no difference is shown, that does not show equality. Intervals and p are of seeds alone: they are "
        "conditional on the one training and test set."
    )
    return [f"Is the difference real? {answer} {limits}{counted}"]


def _not_evaluated(compared: pd.DataFrame, here: pd.DataFrame, level: float) -> list[str]:
    """Sources that the sentences at this level say nothing of."""
    absent = list(dict.fromkeys(compared.loc[~compared["source"].isin(here["source"]), "source"]))
    if len(absent) > SPELLED_OUT:
        absent[SPELLED_OUT - 1 :] = [f"{len(absent) - SPELLED_OUT + 1} more"]
    verb = "is" if len(absent) == 1 else "are"
    return [f"{listed(absent)} {verb} not evaluated with {percent_left(level)} of the weights left."] if absent else []


def _difference(row: SimpleNamespace) -> str:
    against = f"{row.reference} ones" if row.comparison == "control" else "those of the target itself"
    where = f"{row.source} -> {row.target} with {percent_left(row.left)} of the weights left: "
    if row.remark:
        by = f" differ from {against} by {points(row.difference)} points;" if row.n else f" beside {against}:"
        return f"{where}{row.ticket} tickets{by} no test, {row.remark}."
    numbers = (
        f"({interval(row)}, {p_equals(row.p_holm)} Holm-corrected over {count_of(row.tests, 'test')}, n = {row.n})"
    )
    if row.p_holm >= SIGNIFICANT:
        within = f", and they are equivalent within ±{margin_points(row.margin)}" if row.equivalent else ""
        return f"{where}no difference between {row.ticket} tickets and {against} is shown {numbers}{within}."
    side = "above" if row.difference > 0 else "below"
    return f"{where}{row.ticket} tickets are {100 * abs(row.difference):.2f} points {side} {against} {numbers}."


def _level(row: SimpleNamespace) -> str:
    if row.left == row.left:
        return f"{percent_left(row.left)} of the weights"
    return "no level" if row.tested > 0 else "no test"


def tally(rows: pd.DataFrame, against: str) -> str:
    """`above random ones in 3 of 4 transfers ...`: what the tests of one family say of these rows."""
    tested = rows[rows["remark"] == ""]
    if tested.empty:
        return f"not tested against {against} ({reasons(rows)})"
    real = tested[tested["p_holm"] < SIGNIFICANT]
    above = int((real["difference"] > 0).sum())
    counts = {
        "above": above,
        "below": len(real) - above,
        "not shown to differ from": len(tested) - len(real),
        "not tested against": len(rows) - len(tested),
    }
    clauses: list[str] = []
    for words, count in counts.items():
        if count:
            place = in_transfers(count, len(rows), whole=not clauses)
            clauses.append(f"{words} {'them' if clauses else against} {place}")
    if len(tested) < len(rows):
        clauses[-1] += f" ({reasons(rows)})"
    tests = count_of(int(rows["tests"].iloc[0]), "test")
    return f"{listed(clauses)} (paired t-tests, p < {SIGNIFICANT:g}, Holm-corrected over {tests})"


def equivalence(own: pd.DataFrame) -> str:
    """Where equivalence with the target's own tickets is shown, and where nothing is; each where there is such."""
    equivalent = own["equivalent"].fillna(False).astype(bool)
    neither = (own["remark"] == "") & ~equivalent & ~(own["p_holm"] < SIGNIFICANT)
    tests = f"(two one-sided tests, p < {SIGNIFICANT:g} each, not corrected)"
    sentence = ""
    if equivalent.any():
        shown = in_transfers(equivalent.sum(), len(own))
        sentence = f" Equivalence to these within ±{margin_of(own)} {tests} is shown {shown}."
    if neither.any():
        within = "" if sentence else f" within ±{margin_of(own)} {tests}"
        sentence += f" Neither a difference nor equivalence{within} is shown {in_transfers(neither.sum(), len(own))}."
    return sentence


def in_transfers(count: int, of: int, *, whole: bool = True) -> str:
    """`in 2 of 4 transfers`, `in all 4 transfers`, `in both transfers`, `in the one transfer`; not `whole`: `in 2`."""
    if of == 1:
        return "in the one transfer"
    if count == of:
        return "in both transfers" if of == 2 else f"in all {of:,} transfers"
    return f"in {count:,} of {of:,} transfers" if whole else f"in {count:,}"


def reasons(rows: pd.DataFrame) -> str:
    """Why rows have no test, each reason once."""
    return "; ".join(dict.fromkeys(remark for remark in rows["remark"] if remark))


def margin_of(rows: pd.DataFrame) -> str:
    """The margin of equivalence, which all rows share."""
    return margin_points(float(rows["margin"].iloc[0]))
