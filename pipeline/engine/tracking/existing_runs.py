"""The runs of ours that MLflow has, and what their tags say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.engine.tracking.runs import KEY

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "ticket_transfer.parent"
ROUNDS = "ticket_transfer.rounds"
"""JSON, round -> mark: which rounds a run has, and the first digits of the stage keys they come from."""
MLFLOW_PARENT = "mlflow.parentRunId"
PAGE = 1000


@dataclass(slots=True)
class ExistingRun:
    """A run that is in MLflow."""

    run_id: str
    name: str
    tags: dict[str, str]
    parent_id: str | None
    marks: dict[str, str]
    status: str
    inputs: set[tuple[str, str]] = field(default_factory=set)
    """Name and digest of the data sets."""

    @property
    def key(self) -> str:
        return self.tags[KEY]

    @property
    def parent_key(self) -> str | None:
        return self.tags.get(PARENT)


def marks_in(tag: str | None) -> dict[str, str]:
    """What the tag ROUNDS says; nothing if it is damaged: the rounds are logged again, which makes no second point."""
    try:
        marks = json.loads(tag or "{}")
    except ValueError:
        return {}
    return marks if isinstance(marks, dict) else {}


def existing_runs(client: MlflowClient, experiment_id: str) -> Iterator[ExistingRun]:
    """Runs that are not deleted and have our key; twins as well."""
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=PAGE, page_token=token)
        for run in page:
            tags = run.data.tags
            if KEY in tags:
                yield ExistingRun(
                    run.info.run_id,
                    run.info.run_name,
                    dict(tags),
                    tags.get(MLFLOW_PARENT),
                    marks_in(tags.get(ROUNDS)),
                    run.info.status,
                    {(used.dataset.name, used.dataset.digest) for used in run.inputs.dataset_inputs}
                    if run.inputs
                    else set(),
                )
        token = page.token
        if not token:
            return
