"""The few things that tracking does with MLflow. Importing this module does not import MLflow; connecting does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine.tracking.data_sets import DataSet
from pipeline.engine.tracking.database import prepare_database
from pipeline.engine.tracking.description_owner import description_tags
from pipeline.engine.tracking.existing_runs import MLFLOW_PARENT, PARENT, ROUNDS, ExistingRun, existing_runs
from pipeline.engine.tracking.quiet_client import client_of
from pipeline.engine.tracking.runs import KEY, WantedRun
from pipeline.engine.tracking.uri import sqlite_path
from pipeline.lottery.printable import escaped

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

COLOUR = "mlflow.runColor"
CONTEXT = "mlflow.data.context"
BATCH = 800
"""Metrics in one request; MLflow takes 1,000 of everything together."""


@dataclass(slots=True)
class Counts:
    """What was changed in MLflow."""

    created: int = 0
    deleted: int = 0
    points: int = 0
    versions: int = 0
    """Of registered models: made."""
    versions_deleted: int = 0


@dataclass(slots=True)
class MlflowExperiment:
    """One MLflow experiment, found or made. Every method may raise what MLflow raises."""

    client: MlflowClient
    experiment_id: str
    counts: Counts = field(default_factory=Counts)
    tags: dict[str, str] = field(default_factory=dict)
    """Of the experiment."""

    def describe(self, text: str, runs: Iterable[ExistingRun]) -> None:
        """Make `text` the experiment's description, unless a person has written one. `runs`: ours, as they are."""
        for name, value in description_tags(self.tags, runs, escaped(text)).items():
            self.client.set_experiment_tag(self.experiment_id, name, value)
            self.tags[name] = value

    def runs(self) -> dict[str, ExistingRun]:
        """Our runs by key. Of twins, made by two drivers at once, the smallest id stays and the others are deleted."""
        found: dict[str, ExistingRun] = {}
        for run in sorted(existing_runs(self.client, self.experiment_id), key=lambda run: run.run_id):
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
        tags = {KEY: wanted.key, **wanted.labels}
        if parent:
            tags |= {PARENT: wanted.parent or "", MLFLOW_PARENT: parent.run_id}
        if wanted.colour:
            tags[COLOUR] = wanted.colour
        run = self.client.create_run(self.experiment_id, start_time=wanted.started_ms, run_name=wanted.name, tags=tags)
        self.counts.created += 1
        return ExistingRun(run.info.run_id, wanted.name, tags, parent.run_id if parent else None, {}, "RUNNING")

    def log(self, run: ExistingRun, wanted: WantedRun) -> None:
        """Log the rounds that the run lacks, its data sets and its status; correct its name and labels.

        The tag that says which rounds are there is written after them: after a crash in between they are logged once
        more, with the same timestamps, and MLflow drops what it has.
        """
        from mlflow.entities import Metric, Param, RunTag

        self._amend(run, wanted)
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

    def _amend(self, run: ExistingRun, wanted: WantedRun) -> None:
        """Name, labels and data sets as they should be. Requests only for what differs."""
        from mlflow.entities import RunTag

        if run.name != wanted.name:
            self.client.update_run(run.run_id, name=wanted.name)
            run.name = wanted.name
        changed = {name: value for name, value in wanted.labels.items() if run.tags.get(name) != value}
        if changed:
            self.client.log_batch(run.run_id, tags=[RunTag(name, value) for name, value in changed.items()])
            run.tags |= changed
        missing = [data for data in wanted.inputs if (data.name, data.digest) not in run.inputs]
        if missing:
            self.client.log_inputs(run.run_id, datasets=[_input(data) for data in missing])
            run.inputs |= {(data.name, data.digest) for data in missing}


def _input(data: DataSet) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    described = Dataset(data.name, data.digest, "ticket_transfer", data.fields, data.schema(), data.profile())
    return DatasetInput(described, [InputTag(CONTEXT, data.context)])


def connect(tracking_uri: str, name: str, say: Callable[[str], object] = lambda message: None) -> MlflowExperiment:
    """Find the experiment `name`, or make it (and the SQLite database), or restore it if somebody deleted it.

    `say`: told in a sentence what becomes of a database that was there.
    """
    artifacts, database = None, sqlite_path(tracking_uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
        artifacts = (database.parent / "artifacts").resolve().as_uri()
        prepare_database(database, say)
    client = client_of(tracking_uri)
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return MlflowExperiment(client, client.create_experiment(name, artifact_location=artifacts))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage != "active":
        client.restore_experiment(experiment.experiment_id)
    return MlflowExperiment(client, experiment.experiment_id, tags=dict(experiment.tags))
