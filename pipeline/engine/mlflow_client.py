"""The few things that tracking does with MLflow. Importing this module does not import MLflow; connecting does."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.engine.tracking_runs import KEY, WantedRun
from pipeline.engine.tracking_uri import prepare_sqlite

PARENT = "ticket_transfer.parent"
ROUNDS = "ticket_transfer.rounds"
"""JSON, round -> mark: which rounds a run has, and the first digits of the stage keys they come from."""
MLFLOW_PARENT = "mlflow.parentRunId"
BATCH = 800
"""Metrics in one request; MLflow takes 1,000 of everything together."""
PAGE = 1000
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A server that is away must not hold a run up: MLflow itself tries seven times, for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


@dataclass(slots=True)
class ExistingRun:
    """A run that is in MLflow."""

    run_id: str
    key: str
    parent_key: str | None
    parent_id: str | None
    marks: dict[str, str]
    status: str


@dataclass(slots=True)
class Counts:
    """What was changed in MLflow."""

    created: int = 0
    deleted: int = 0
    points: int = 0


@dataclass(slots=True)
class MlflowExperiment:
    """One MLflow experiment, found or made. Every method may raise what MLflow raises."""

    client: Any
    experiment_id: str
    counts: Counts = field(default_factory=Counts)

    def runs(self) -> dict[str, ExistingRun]:
        """Our runs by key. Of twins, made by two drivers at once, the smallest id stays and the others are deleted."""
        found: dict[str, ExistingRun] = {}
        for run in sorted(self._all(), key=lambda run: run.run_id):
            if run.key in found:
                self.delete(run)
            else:
                found[run.key] = run
        for run in found.values():
            parent = found.get(run.parent_key or "")
            if parent and run.parent_id != parent.run_id:
                self.adopt(run, parent)
        return found

    def create(self, wanted: WantedRun, parent: ExistingRun | None) -> ExistingRun:
        """An empty run with its labels, as tags and as parameters: the UI filters and groups by either."""
        family = {PARENT: wanted.parent or "", MLFLOW_PARENT: parent.run_id} if parent else {}
        run = self.client.create_run(
            self.experiment_id,
            start_time=wanted.started_ms,
            run_name=wanted.name,
            tags={KEY: wanted.key, **family, **wanted.labels},
        )
        self.counts.created += 1
        run_id = run.info.run_id
        return ExistingRun(run_id, wanted.key, wanted.parent, parent.run_id if parent else None, {}, "RUNNING")

    def log(self, run: ExistingRun, wanted: WantedRun) -> None:
        """Log the rounds that the run lacks, and its status.

        The tag that says which rounds are there is written after them: after a crash in between they are logged once
        more, with the same timestamps, and MLflow drops what it has.
        """
        from mlflow.entities import Metric, Param, RunTag

        fresh = {number: entry for number, entry in wanted.entries.items() if str(number) not in run.marks}
        metrics = [
            Metric(name, value, entry.timestamp, number)
            for number, entry in sorted(fresh.items())
            for name, value in entry.metrics.items()
        ]
        marks = run.marks | {str(number): entry.mark for number, entry in fresh.items()}
        params = [] if run.marks else [Param(name, value) for name, value in wanted.labels.items()]
        for start in range(0, len(metrics), BATCH):
            last = start + BATCH >= len(metrics)
            tags = [RunTag(ROUNDS, json.dumps(marks, separators=(",", ":")))] if last else []
            self.client.log_batch(run.run_id, metrics[start : start + BATCH], params if last else [], tags)
        run.marks = marks
        self.counts.points += len(fresh)
        self.end(run, wanted.status, wanted.ended_ms)

    def end(self, run: ExistingRun, status: str, ended_ms: int) -> None:
        if run.status == status:
            return
        if status == "RUNNING":
            self.client.update_run(run.run_id, status)
        else:
            self.client.set_terminated(run.run_id, status, ended_ms)
        run.status = status

    def delete(self, run: ExistingRun) -> None:
        self.client.delete_run(run.run_id)
        self.counts.deleted += 1

    def adopt(self, child: ExistingRun, parent: ExistingRun) -> None:
        self.client.set_tag(child.run_id, MLFLOW_PARENT, parent.run_id)
        child.parent_id = parent.run_id

    def attach(
        self, run: ExistingRun, files: Iterable[Path], texts: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        """Artifacts, replacing those of the same name, and tags."""
        from mlflow.entities import RunTag

        for name, text in texts.items():
            self.client.log_text(run.run_id, text, name)
        for file in files:
            self.client.log_artifact(run.run_id, str(file), "report")
        self.client.log_batch(run.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def _all(self) -> Iterator[ExistingRun]:
        token = None
        while True:
            page = self.client.search_runs([self.experiment_id], max_results=PAGE, page_token=token)
            for run in page:
                tags = run.data.tags
                if KEY in tags:
                    marks = json.loads(tags.get(ROUNDS, "{}"))
                    parents = tags.get(PARENT), tags.get(MLFLOW_PARENT)
                    yield ExistingRun(run.info.run_id, tags[KEY], *parents, marks, run.info.status)
            token = page.token
            if not token:
                return


def connect(tracking_uri: str, name: str, description: str = "") -> MlflowExperiment:
    """Find the experiment `name`, or make it (and the SQLite database), or restore it if somebody deleted it."""
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    # MLflow sets its own loggers' levels when it is imported.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    artifacts = prepare_sqlite(tracking_uri)
    client = MlflowClient(tracking_uri=tracking_uri)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            tags = {"mlflow.note.content": description} if description else None
            return MlflowExperiment(client, client.create_experiment(name, artifact_location=artifacts, tags=tags))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage != "active":
        client.restore_experiment(experiment.experiment_id)
    return MlflowExperiment(client, experiment.experiment_id)
