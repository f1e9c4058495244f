"""Networks that succeed, of models that train many at once: Frankle & Carbin 2018, Figures 1 and 2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.experiment.spec import DENSE
from pipeline.recipes.models import Perceptron
from pipeline.report.analysis.paired_tests import CONFIDENCE, Marks, holm
from pipeline.report.analysis.paper_values import is_of, published_values
from pipeline.report.findings import Table
from pipeline.report.rows import columns, rows_of, table_of

if TYPE_CHECKING:
    from pipeline.engine.store.records import Records
    from pipeline.experiment.spec import Spec
    from pipeline.experiment.spec_analysis import Analysis, PublishedValue

METRICS = ("decision_boundary", "none_wrong", "zero_loss")
PUBLISHED_AS = {"none_wrong": "decision_boundary"}
"""A paper that counts decision boundaries may not say what it makes of points that lie on them."""
POINT = ["target", "source", "ticket", "round", "draw"]
TYPES = columns(
    "target, source, ticket: string; round, draw: int64; fraction_pruned: float64; hidden: Int64; metric: string; n, "
    "count: int64; share, low, high: float64; both: Int64; both_share, both_low, both_high, published: float64; "
    "published_n: Int64; inside: boolean; difference, difference_low, difference_high: float64"
)


class Share(NamedTuple):
    """A proportion with its 95 % Wilson interval, all in [0, 1]."""

    share: float
    low: float
    high: float


def networks(results: pd.DataFrame, snapshot: Records, spec: Spec) -> pd.DataFrame:
    """A row a metric for each (target, source, ticket, round, draw) whose trainings were of many networks at once.

    Networks are the unit: those of all seeds add up to `n`; draws of a control, which share their networks, do not.
    `metric`: `decision_boundary` (every test point is on the right side, by more than `analysis.tie`), `none_wrong` (no
    test point is on the wrong side by more than `analysis.tie`: all may be on the boundary, as of a network that has
    learned nothing) or `zero_loss` (test loss below `analysis.zero_loss`). `count` of them succeed, a `share` with its
    95 % Wilson interval, `low` to `high`. Trainings that diverged are left out: they ended in the middle.

    `both`, of pruned tickets: networks that succeed and whose dense network (same model, place and seed, on the same
    target) does, too; the share is still one of all `n` networks, as in the paper's Figure 2. NA where a dense network
    has no result (yet). `hidden`: units left in the hidden layer of a perceptron, NA where weights are pruned one by
    one.

    `published`: the paper's share, where the grid gives one (`analysis.published`); what it says of the decision
    boundary stands beside both ways to count it. It is compared with `both` of pruned tickets (NA while their dense
    networks have no result), with `share` of others: `inside` our interval or not; `difference`: ours minus the
    paper's; with the 95 % interval of Newcombe 1998 (method 10, without continuity correction) where `published_n` is
    known.
    """
    rows: list[dict[str, Any]] = []
    trainings = many_trainings(results, snapshot, spec.analysis)
    # further draws of a dense network start from other weights: no ticket comes from them
    dense = trainings[(trainings["ticket"] == DENSE) & (trainings["draw"] == 0)]
    for point, of_point in trainings.groupby(POINT, sort=False):
        row = next(rows_of(of_point))
        about = dict(zip(POINT, point, strict=True)) | {"fraction_pruned": row.fraction_pruned}
        about["hidden"] = _hidden_units(row, spec)
        of_target = dense[dense["target"] == row.target]
        for metric in METRICS:
            numbers = _shares(of_point, of_target if row.round > 0 else of_target.iloc[:0], metric)
            values = published_values(spec, PUBLISHED_AS.get(metric, metric))
            value = next((value for value in values if is_of(value, row)), None)
            of = "both_" if row.round > 0 else ""
            compared = _beside(value, numbers, of) if value and f"{of}share" in numbers else {}
            rows.append({**about, "metric": metric, **numbers, **compared})
    targets = [target.name for target in spec.targets]
    # each target's dense network comes first: it is what the rows below are compared with
    rows.sort(key=lambda row: (targets.index(row["target"]), row["ticket"] != DENSE))
    return table_of(rows, TYPES)


NETWORKS = Table("networks", lambda findings: networks(findings.results, findings.read.snapshot, findings.spec))


def many_trainings(results: pd.DataFrame, snapshot: Records, rule: Analysis) -> pd.DataFrame:
    """Results of many networks at once, with a column for each of METRICS: [networks], which of them succeed.

    A loss that was not finite is no success.
    """
    measured = results[results["status"] == "ok"]
    records = [snapshot.record(stage) for stage in measured["stage"]]
    summaries = [record["summary"].get("networks") if record else None for record in records]
    of_many = pd.Series(summaries, measured.index, dtype=object).dropna()
    margins = [np.array(each["test_margin"]) for each in of_many]
    losses = [np.array(each["test_loss"], dtype=np.float64) for each in of_many]
    marks = (
        [margin > rule.tie for margin in margins],
        [margin >= -rule.tie for margin in margins],
        [loss < rule.zero_loss for loss in losses],
    )
    of_metric = {name: pd.Series(each, dtype=object) for name, each in zip(METRICS, marks, strict=True)}
    return measured.loc[of_many.index].reset_index(drop=True).assign(**of_metric)


def _shares(of_point: pd.DataFrame, dense: pd.DataFrame, metric: str) -> dict[str, Any]:
    """How many networks of a point succeed; and those whose dense network does, too, if each of them has one."""
    own: list[Marks] = of_point[metric].tolist()
    count, n = int(np.concatenate(own).sum()), sum(map(len, own))
    numbers: dict[str, Any] = {"n": n, "count": count, **wilson(count, n)._asdict()}
    by_seed: dict[int, Marks] = dict(zip(dense["seed"], dense[metric], strict=True))
    same = [by_seed.get(seed, ()) for seed in of_point["seed"]]
    if list(map(len, same)) == list(map(len, own)):
        both = int((np.concatenate(own) & np.concatenate(same)).sum())
        numbers |= {"both": both} | {f"both_{name}": value for name, value in wilson(both, n)._asdict().items()}
    return numbers


def _hidden_units(row: SimpleNamespace, spec: Spec) -> int | None:
    """Units that are left in the hidden layer of each network; None where units are not pruned whole."""
    model = next(target.model for target in spec.targets if target.name == row.target)
    recipe = model.recipe() if model.name == Perceptron.name else None
    if not isinstance(recipe, Perceptron):
        return None
    prune = next((source.prune for source in spec.sources if source.name == row.source), None)
    whole = {ticket.name for ticket in spec.tickets if ticket.mask == "preserved"}
    if row.round and (prune is None or prune.units is None or row.ticket not in whole):
        return None
    return round(float(recipe.hidden * row.survivors / row.total))


def _beside(value: PublishedValue, numbers: Mapping[str, Any], of: str) -> dict[str, Any]:
    """A published share beside ours, the columns that begin with `of`."""
    ours = Share(*(numbers[f"{of}{name}"] for name in Share._fields))
    inside = ours.low <= value.value <= ours.high
    numbers = {"published": value.value, "published_n": value.n, "inside": inside}
    if value.n is None:
        return numbers | {"difference": ours.share - value.value}
    theirs = wilson(round(value.value * value.n), value.n)
    return numbers | {
        f"difference{name}": number for name, number in zip(("", "_low", "_high"), newcombe(ours, theirs), strict=True)
    }


def wilson(count: int, n: int) -> Share:
    """Of `n` trials that succeeded `count` times."""
    from scipy.stats import binomtest

    interval = binomtest(count, n).proportion_ci(CONFIDENCE, method="wilson")
    return Share(count / n, float(interval.low), float(interval.high))


def newcombe(one: Share, other: Share) -> tuple[float, float, float]:
    """`one` minus `other`, two independent proportions, with its 95 % interval (Newcombe 1998, method 10)."""
    difference = one.share - other.share
    below = math.hypot(one.share - one.low, other.high - other.share)
    above = math.hypot(one.high - one.share, other.share - other.low)
    return difference, difference - below, difference + above


PAIR_TYPES = columns(
    "target, ticket: string; round: int64; metric, source, other: string; n, only_source, only_other: int64; p, "
    "p_holm: float64"
)


def paired_networks(results: pd.DataFrame, snapshot: Records, spec: Spec) -> pd.DataFrame:
    """One row for each two sources of a (target, ticket, round), and metric of `networks.METRICS`.

    Sources of one model start from the same networks, so the unit is two tickets of one network: same place, same seed.
    Of `n` such pairs, `only_source` and `only_other` are those of which only that source's ticket succeeds. `p`:
    McNemar's exact test, two-sided, that either is as likely; `p_holm`: Holm-corrected over the rows of a metric. Of a
    control with several draws the first one is compared.
    """
    trainings = many_trainings(results, snapshot, spec.analysis)
    trainings = trainings[(trainings["round"] > 0) & (trainings["draw"] == 0)]
    models = {source.name: source.model for source in spec.sources}
    rows = []
    for metric in METRICS:
        for (target, ticket, number), at in trainings.groupby(["target", "ticket", "round"], sort=False):
            of_source = {
                str(source): dict(zip(of["seed"], of[metric], strict=True))
                for source, of in at.groupby("source", sort=False)
                if source in models
            }
            for one, other in combinations(of_source, 2):
                seeds = [seed for seed in of_source[one] if seed in of_source[other]]
                if seeds and models[one] == models[other]:
                    left, right = (np.concatenate([of_source[name][seed] for seed in seeds]) for name in (one, other))
                    only = int((left & ~right).sum()), int((right & ~left).sum())
                    rows.append([target, ticket, number, metric, one, other, len(left), *only, mcnemar(*only), np.nan])
    table = table_of(rows, PAIR_TYPES)
    corrected, _ = holm(table["p"].to_numpy(), np.asarray(table.groupby("metric", sort=False).ngroup(), dtype=np.int64))
    return table.assign(p_holm=corrected)


def mcnemar(one: int, other: int) -> float:
    """Two-sided exact p where `one` pairs succeed in one way only, `other` in the other way only (McNemar 1947)."""
    from scipy.stats import binomtest

    return float(binomtest(one, one + other).pvalue) if one + other else 1.0
