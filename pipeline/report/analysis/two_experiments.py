"""Two experiments side by side: the curves that both have, and what differs in their specs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.experiment.spec_analysis import FEWEST
from pipeline.report.analysis.levels import level_of
from pipeline.report.analysis.over_seeds import by_seed, moments
from pipeline.report.analysis.paired import paired, rows_at

MATCHED = ["source", "target", "ticket", "left"]
COLUMNS = [
    *MATCHED,
    *["round_a", "round_b", "n_a", "mean_a", "std_a", "n_b", "mean_b", "std_b"],
    *["n", "same", "difference", "std", "low", "high", "t", "p", "p_holm", "tests", "effect", "remark"],
]
SAME = "the same runs"
CONSTANT = "every seed has the same difference: no variance to test against"


def compare(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Experiment b minus experiment a, from their results tables, wherever both have a ticket at the same level.

    One row for each (`source`, `target`, `ticket`, `left`): names as the grids have them, weights remaining in (0, 1]
    to 3 significant digits. `round_*`, `n_*`, `mean_*`, `std_*`: of each experiment, test accuracy in [0, 1] over its
    seeds. `n`: seeds that both have, `same` of which are one and the same run (the same stage). Over these:
    `difference` (b minus a), `std` (ddof = 1), `low`, `high` (95 % t interval), `t`, `p` (two-sided paired t-test),
    `p_holm` (Holm's correction over the `tests` of the same ticket and level), `effect` (Hedges' g); `remark`: why
    there is no test.
    """
    joined = pd.concat([a.assign(experiment="a", model=""), b.assign(experiment="b", model="")], ignore_index=True)
    seeds = by_seed(joined, joined["test_accuracy"])
    points = seeds.points.assign(left=level_of(seeds.points), place=np.arange(len(seeds.points)))
    n, mean, std = moments(seeds.values)
    measured = points.assign(n=n, mean=mean, std=std).drop_duplicates(["experiment", *MATCHED])
    sides = [
        measured.loc[measured["experiment"] == name, [*MATCHED, "round", "n", "mean", "std", "place"]]
        for name in ("a", "b")
    ]
    pairs = sides[0].merge(sides[1], on=MATCHED, suffixes=("_a", "_b"))
    beside = paired(rows_at(seeds.values, pairs["place_b"]), rows_at(seeds.values, pairs["place_a"]))
    pairs["n"], pairs["same"] = beside.n, _same(joined, pairs)
    # the same runs do not differ: there is nothing to test
    identical = (pairs["same"] == pairs["n"]) & (pairs["n"] > 0)
    few = "n = " + pairs["n"].astype("string") + " shared seeds: too few for a test"
    remark = few.mask(pairs["n"] >= FEWEST, CONSTANT).mask(identical, SAME).mask(beside.testable, "")
    columns = beside.columns(pairs.groupby(["ticket", "left"], sort=False).ngroup())
    return pairs.assign(**columns, remark=remark).reindex(columns=COLUMNS)


def _same(joined: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series[int]:
    """How many seeds of each pair have the same stage, with a result, in both experiments."""
    rows = joined.loc[joined["test_accuracy"].notna(), ["experiment", *MATCHED[:3], "round", "seed", "stage"]]
    sides = [rows[rows["experiment"] == name].rename(columns={"round": f"round_{name}"}) for name in ("a", "b")]
    both = sides[0].merge(sides[1], on=[*MATCHED[:3], "seed", "stage"])
    key = [*MATCHED[:3], "round_a", "round_b"]
    counted = both.groupby(key).size().rename("same")
    return pairs[key].join(counted, on=key)["same"].fillna(0).astype("int64")
