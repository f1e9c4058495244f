"""Runs without a result, or with one that diverged, and why."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

COLUMNS = ["source", "target", "ticket", "round", "seed", "status", "why", "stage", "test_accuracy"]
DIVERGED = "its loss was not finite; it counts in the means with the accuracy it had then"
MISSING = "not run yet"


def unmade(
    results: pd.DataFrame, failed: Mapping[str, str], skipped: Mapping[str, str], blocked: Mapping[str, str]
) -> pd.DataFrame:
    """One row for each point that is not `ok`, in the order of `results`.

    The mappings go from stage keys to reasons: `failed` when it was last run, `skipped` because what it reads failed,
    `blocked` because what it reads diverged. `status`: `diverged`, `failed`, `blocked` (there can be no result, or
    none before something else is mended) or `missing` (a run would make it).
    """
    rows = results[results["status"] != "ok"]
    status = rows["status"].to_list()
    why = []
    for place, (key, found) in enumerate(zip(rows["stage"], list(status), strict=True)):
        if found == "diverged":
            why.append(DIVERGED)
        elif key in failed:
            status[place] = "failed"
            why.append(failed[key])
        elif key in blocked or key in skipped:
            status[place] = "blocked"
            why.append(blocked.get(key) or skipped[key])
        else:
            why.append(MISSING)
    table = rows.assign(status=status, why=why).reindex(columns=COLUMNS).reset_index(drop=True)
    return table.astype({"status": "string", "why": "string"})
