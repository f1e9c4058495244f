"""Bringing MLflow to what it should be, run by run. All but `attempt` may raise what MLflow raises."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pipeline.engine.tracking.client import Counts, MlflowExperiment, connect
from pipeline.engine.tracking.existing_runs import ExistingRun
from pipeline.engine.tracking.fingerprint import fingerprint
from pipeline.engine.tracking.registry import Registered, register, registered
from pipeline.engine.tracking.runs import WantedRun
from pipeline.engine.tracking.tickets import WantedTicket

REFUSED = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
"""What MLflow says of runs and model versions that another driver has deleted, as twins of its own."""


class TrackingWriter:
    """One experiment in MLflow, looked up once and remembered until `forget`."""

    def __init__(
        self, tracking_uri: str, experiment: str, describe: Callable[[str], str], say: Callable[[str], object]
    ) -> None:
        """`describe`: from the experiment's id in MLflow to its description. `say`: told what becomes of a database."""
        self.counts = Counts()
        self.runs: dict[str, ExistingRun] = {}
        """Those of ours that MLflow has, by key."""
        self.versions: list[Registered] = []
        """Tickets of ours that MLflow had when that was last asked."""
        self._uri = tracking_uri
        self._name = experiment
        self._describe = describe
        self._say = say
        self._experiment: MlflowExperiment | None = None
        self._created = 0
        """How many runs had been made when MLflow was last looked at."""

    def forget(self) -> None:
        """Look everything up afresh next time: somebody else may have made or deleted runs."""
        self._experiment = None

    def shows(self, logged: str) -> bool:
        """Whether MLflow still shows the runs and tickets of which this is the fingerprint."""
        self.versions = self._registered()
        return fingerprint(self.runs.values(), self.versions) == logged

    def settled(self) -> bool:
        """Whether the runs made since MLflow was last looked at have no twins, of a driver that made them, too."""
        if self.counts.created == self._created:
            return True
        ours = {run.run_id for run in self.runs.values()}
        self.forget()
        self._connected()
        return ours == {run.run_id for run in self.runs.values()}

    def attempt(self, *steps: Callable[[], None]) -> Exception | None:
        """Run the steps, once more with what MLflow has by then if it refused something; give what went wrong."""
        for number in (1, 2):
            try:
                for step in steps:
                    step()
            except Exception as error:
                self.forget()
                if number == 2 or getattr(error, "error_code", None) not in REFUSED:
                    return error
            else:
                break
        return None

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

    def register(self, tickets: Iterable[WantedTicket]) -> None:
        """Make the tickets versions of registered models, as far as the runs that they come from are in MLflow."""
        client = self._connected().client
        runs = {key: run.run_id for key, run in self.runs.items()}
        there = [(ticket, runs[ticket.run]) for ticket in tickets if ticket.run in runs]
        if there:
            register(client, self._name, there, self.counts)
        self.versions = self._registered()

    def _registered(self) -> list[Registered]:
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # a server may allow runs and no models
            return registered(self._connected().client, self._name)
        return []

    def _connected(self) -> MlflowExperiment:
        if self._experiment is None:
            experiment = connect(self._uri, self._name, self._say)
            experiment.counts = self.counts
            self.runs, self._created = experiment.runs(), self.counts.created
            # Before any run is corrected: old ones tell that the description is an old one too.
            experiment.describe(self._describe(experiment.experiment_id), self.runs.values())
            self._experiment = experiment
        return self._experiment

    def _current(self, experiment: MlflowExperiment, wanted: WantedRun) -> ExistingRun:
        """The run to log to. One that has other results at one of the rounds, or other metrics, is replaced."""
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
