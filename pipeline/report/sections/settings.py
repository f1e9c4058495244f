"""Settings in force beside those of a paper, and the choices that the paper leaves open."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.experiment.spec import Spec
from pipeline.report.findings import Findings, Table
from pipeline.report.paper import FIXED, TITLES, settings_of_the_paper
from pipeline.report.sections.section import Fragment, Section
from pipeline.report.spec_settings import settings_of, written
from pipeline.report.wording import records

COLUMNS = ["field", "value", "default", "paper", "differs", "reason"]


def in_force(spec: Spec) -> pd.DataFrame:
    """One row for each setting that can change a result or how it is read.

    `field` is the key of the grid; where sources or targets differ in it, a row each, with their names. `value` as YAML
    would have it; `default`: whether it is the field's default; `paper`: what `analysis.paper` has, empty where
    it says nothing; `differs`: whether that is something else; `reason`: why the default is what it is, for
    what the paper leaves open. Rows `fixed: ...` are choices that no field changes.
    """
    paper, left_open = settings_of_the_paper(spec.analysis.paper, {model.name for model in spec.models})
    rows = []
    for field, value, default in settings_of(spec):
        bare = field.partition(" (")[0]
        stated = paper.get(bare, "")
        differs = bool(stated) and not _same(value, stated)
        rows.append((field, written(value), default, _said(stated), differs, left_open.get(bare, "")))
    rows += [(f"fixed: {what}", value, True, "", False, reason) for what, value, reason in FIXED]
    return pd.DataFrame(rows, columns=COLUMNS)


def _same(value: Any, stated: Any) -> bool:
    """Whether a value is what the paper has; of an alternative, any one will do."""
    if isinstance(stated, tuple):
        return any(_same(value, one) for one in stated)
    if isinstance(stated, dict) and isinstance(value, dict):
        return all(_same(value.get(key), wanted) for key, wanted in stated.items())
    return bool(value == stated)


def _said(stated: Any) -> str:
    if isinstance(stated, tuple):
        return " or ".join(map(written, stated))
    return written(stated)


SETTINGS = Table("settings", lambda findings: in_force(findings.spec))


def _page(findings: Findings) -> Fragment:
    paper = TITLES.get(findings.spec.analysis.paper, "")
    return Fragment({"settings": records(findings.of(SETTINGS)), "paper": paper})


SECTION = Section("settings", "Settings", "Settings in force", _page, computed=(SETTINGS,))
