"""The one run of an experiment that carries its specification, provenance and report."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import yaml

from pipeline.engine.provenance import Provenance
from pipeline.engine.tracking.runs import WantedRun
from pipeline.recipes.keys import key_of

if TYPE_CHECKING:
    from pipeline.experiment.grid import Grid

REPORT_RUN = "report"
COMMIT = "mlflow.source.git.commit"


def report_run(experiment: str, now_ms: int) -> WantedRun:
    key = key_of({"experiment": experiment, "run": "report"})
    return WantedRun(key, None, REPORT_RUN, {}, {}, "FINISHED", now_ms, now_ms)


def texts(
    grid: Grid,
    driver: Provenance | None,
    made_with: Mapping[str, Collection[str]],
    seconds: Mapping[str, float],
) -> dict[str, str]:
    """Artifacts by name: the grid's file with everything spelled out, and what its stages were made with.

    `driver`: as `provenance.describe_driver` gives it. `made_with`: every distinct set of versions, and of hardware,
    as JSON. `seconds`: stage key -> how long it took.
    """
    spec = grid.spec.model_dump(mode="json")
    provenance: dict[str, object] = {
        "experiment": grid.name,
        "driver": driver or {},
        **{what: [json.loads(text) for text in sorted(seen)] for what, seen in made_with.items()},
        "stages": sorted(seconds),
        "seconds": sum(seconds.values()),
    }
    return {
        "spec.yaml": yaml.safe_dump(spec, sort_keys=False, allow_unicode=True),
        "provenance.json": json.dumps(provenance, indent=2),
    }


def commit_tag(driver: Provenance | None) -> dict[str, str]:
    """MLflow's tag of the code's commit, if it is known."""
    commit = driver.get("git_commit", "") if driver else ""
    return {COMMIT: commit} if commit else {}
