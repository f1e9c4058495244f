"""Settings in force beside those of a paper, and the choices that the paper leaves open."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from pipeline.experiment.spec import Spec
from pipeline.recipes.keys import canonical
from pipeline.report.findings import Findings, Table
from pipeline.report.rows import records
from pipeline.report.sections.section import Fragment, Section
from pipeline.report.spec_settings import settings_of, written

COLUMNS = ["field", "value", "default", "paper", "differs", "reason"]
FIXED: tuple[tuple[str, str, str], ...] = (
    ("accuracy", "at the last epoch, never the best one", "the paper reports test accuracy at convergence"),
    ("optimizer state", "fresh in every round", "not stated"),
    ("Adam's weight decay", "L2 in the gradient", "the common form in 2019"),
    ("biases and batch norm", "travel with a winning ticket; a random one starts them anew", "not stated"),
    ("ties in magnitude", "the weight that comes first is pruned first", "not stated"),
    ("diverged runs", "count in the means with their accuracy", "Figure 3b of Morcos et al. 2019 depends on it"),
    ("pairing", "initialization by seed and tensor, data order by seed, target and round", "paired comparisons"),
)
"""(what, how it is, why): choices that no field of the grid changes."""


def in_force(spec: Spec) -> pd.DataFrame:
    """One row for each setting that can change a result or how it is read.

    `field` is the key of the grid; where sources or targets differ in it, a row each, with their names. `value` as YAML
    would have it; `default`: whether it is the field's default; `paper`: what `analysis.paper` has, empty where
    it says nothing; `differs`: whether that is something else; `reason`: why the default is what it is, for
    what the paper leaves open. Rows `fixed: ...` are choices that no field changes.
    """
    paper = spec.analysis.paper
    stated_by = {} if paper is None else paper.settings_of({model.name for model in spec.models})
    left_open = {} if paper is None else paper.open
    rows = []
    for field, value, default in settings_of(spec):
        bare = field.partition(" (")[0]
        # a paper read from its file has keys in its own order, one that a store remembers in the store's
        stated = _alternatives(json.loads(canonical(stated_by[bare]))) if bare in stated_by else []
        differs = bool(stated) and not any(_same(value, one) for one in stated)
        rows.append(
            (field, written(value), default, " or ".join(map(written, stated)), differs, left_open.get(bare, ""))
        )
    rows += [(f"fixed: {what}", value, True, "", False, reason) for what, value, reason in FIXED]
    return pd.DataFrame(rows, columns=COLUMNS)


def _alternatives(stated: Any) -> list[Any]:
    """What a paper has, any one of which will do."""
    return list(stated["either"]) if isinstance(stated, dict) and set(stated) == {"either"} else [stated]


def _same(value: Any, stated: Any) -> bool:
    """Whether a value is what the paper has, which may leave some of it open."""
    if isinstance(stated, dict) and isinstance(value, dict):
        return all(_same(value.get(key), wanted) for key, wanted in stated.items())
    return bool(value == stated)


SETTINGS = Table("settings", lambda findings: in_force(findings.spec))


def _page(findings: Findings) -> Fragment:
    paper = findings.spec.analysis.paper
    title = "" if paper is None else paper.title
    return Fragment({"settings": records(findings.of(SETTINGS)), "paper": title})


SECTION = Section("settings", "Settings", "Settings in force", _page, computed=(SETTINGS,))
