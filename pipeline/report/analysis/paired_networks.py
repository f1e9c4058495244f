"""Two ways to prune the same networks, compared network by network: Frankle & Carbin 2018, Figure 2."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.report.analysis.networks import METRICS, many_trainings, succeeded
from pipeline.report.analysis.paired_tests import holm

if TYPE_CHECKING:
    from pipeline.experiment.spec import Spec
    from pipeline.report.results import Records

COLUMNS = ["target", "ticket", "round", "metric", "source", "other", "n", "only_source", "only_other", "p", "p_holm"]
TYPES = {
    **dict.fromkeys(["target", "ticket", "metric", "source", "other"], "string"),
    **dict.fromkeys(["round", "n", "only_source", "only_other"], "int64"),
    **dict.fromkeys(["p", "p_holm"], "float64"),
}


def paired_networks(results: pd.DataFrame, snapshot: Records, spec: Spec) -> pd.DataFrame:
    """One row for each two sources of a (target, ticket, round), and metric of `networks.METRICS`.

    Sources of one model start from the same networks, so the unit is two tickets of one network: same place, same seed.
    Of `n` such pairs, `only_source` and `only_other` are those of which only that source's ticket succeeds. `p`:
    McNemar's exact test, two-sided, that either is as likely; `p_holm`: Holm-corrected over the rows of a metric. Of a
    control with several draws the first one is compared.
    """
    trainings = many_trainings(results, snapshot)
    trainings = trainings[(trainings["round"] > 0) & (trainings["draw"] == 0)]
    models = {source.name: source.model for source in spec.sources}
    rows = []
    for metric in METRICS:
        marks = succeeded(trainings, metric, spec.analysis)
        for (target, ticket, number), at in trainings.groupby(["target", "ticket", "round"], sort=False):
            of_source = {
                str(source): dict(zip(of["seed"], marks[of.index], strict=True))
                for source, of in at.groupby("source", sort=False)
                if source in models
            }
            for one, other in combinations(of_source, 2):
                seeds = [seed for seed in of_source[one] if seed in of_source[other]]
                if seeds and models[one] == models[other]:
                    left, right = (np.concatenate([of_source[name][seed] for seed in seeds]) for name in (one, other))
                    only = int((left & ~right).sum()), int((right & ~left).sum())
                    rows.append([target, ticket, number, metric, one, other, len(left), *only, mcnemar(*only)])
    table = pd.DataFrame(rows, columns=COLUMNS[:-1]).astype({name: TYPES[name] for name in COLUMNS[:-1]})
    corrected, _ = holm(table["p"].to_numpy(), table.groupby("metric", sort=False).ngroup().to_numpy())
    return table.assign(p_holm=corrected)


def mcnemar(one: int, other: int) -> float:
    """Two-sided exact p where `one` pairs succeed in one way only, `other` in the other way only (McNemar 1947)."""
    from scipy.stats import binomtest

    return float(binomtest(one, one + other).pvalue) if one + other else 1.0
