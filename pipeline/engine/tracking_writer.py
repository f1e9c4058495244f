"""Bringing MLflow to what it should be, run by run. Everything here may raise what MLflow raises."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.engine.mlflow_client import Counts, ExistingRun, MlflowExperiment, connect
from pipeline.engine.tracking_runs import WantedRun


class TrackingWriter:
    """One experiment in MLflow, looked up once and remembered until `forget`."""

    def __init__(self, tracking_uri: str, experiment: str, description: str = "") -> None:
        self.counts = Counts()
        self.runs: dict[str, ExistingRun] = {}
        """Those of ours that MLflow has, by key."""
        self._uri = tracking_uri
        self._name = experiment
        self._description = description
        self._experiment: MlflowExperiment | None = None

    def forget(self) -> None:
        """Look everything up afresh next time: somebody else may have made or deleted runs."""
        self._experiment = None

    def write(self, wanted: Iterable[WantedRun]) -> None:
        """Log what the runs lack; a parent comes before its children."""
        experiment = self._connected()
        for run in wanted:
            experiment.log(self._current(experiment, run), run)

    def attach(self, run: WantedRun, files: Iterable[Path], texts: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Put files (in the folder `report`), texts (by file name) and tags on `run`, in place of what it has."""
        experiment = self._connected()
        there = self._current(experiment, run)
        experiment.attach(there, files, texts, tags)
        experiment.end(there, run.status, run.ended_ms)

    def _connected(self) -> MlflowExperiment:
        if self._experiment is None:
            experiment = connect(self._uri, self._name, self._description)
            experiment.counts = self.counts
            self.runs = experiment.runs()
            self._experiment = experiment
        return self._experiment

    def _current(self, experiment: MlflowExperiment, wanted: WantedRun) -> ExistingRun:
        """The run to log to. One that has other results at one of the rounds is replaced: metrics cannot be changed."""
        there = self.runs.get(wanted.key)
        if there and _agree(there, wanted):
            return there
        fresh = experiment.create(wanted, self.runs.get(wanted.parent or ""))
        self.runs[wanted.key] = fresh
        for child in self.runs.values():
            if child.parent_key == wanted.key:
                experiment.adopt(child, fresh)
        if there:
            experiment.delete(there)
        return fresh


def _agree(there: ExistingRun, wanted: WantedRun) -> bool:
    return all(there.marks.get(str(number), entry.mark) == entry.mark for number, entry in wanted.entries.items())
