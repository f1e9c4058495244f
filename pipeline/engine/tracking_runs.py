"""What MLflow should show of a grid: pure functions from points and records to runs, without MLflow.

One parent run for each (source, target, ticket), one child for each seed. The round is the step, so that MLflow's own
chart draws the pruning curve. Everything comes from the records, timestamps too: the same records make the same runs.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.engine.point_labels import PointLabels, labels_of
from pipeline.experiment.keys import key_of
from pipeline.experiment.spec import ANY

if TYPE_CHECKING:
    from pipeline.experiment.grid import Grid, Point

KEY = "ticket_transfer.key"
"""Tag by which a run is found again, by any driver: MLflow chooses the run's id itself."""
METRICS = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")
MARK_DIGITS = 12
"""Of a SHA-256: marks tell the rounds of one run apart, and all of them fit into one MLflow tag (5,000 characters)."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What tracking needs of a train stage's record."""

    started_ms: int
    finished_ms: int
    metrics: Mapping[str, float]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Measurement:
        """Losses that are not numbers (a diverged run) are left out: a chart cannot show them."""
        numbers = {name: record["summary"].get(name) for name in METRICS} | {"seconds": record["seconds"]}
        return cls(
            started_ms=round(1000 * record["started"]),
            finished_ms=round(1000 * record["finished"]),
            metrics={
                name: float(value) for name, value in numbers.items() if value is not None and math.isfinite(value)
            },
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """What a run logs at one round."""

    mark: str
    """Names the stages that it comes from; an entry with another mark at the same round is another result."""
    timestamp: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class WantedRun:
    """A run as it should be in MLflow."""

    key: str
    """SHA-256 of what the run stands for; content of the tag `KEY`."""
    parent: str | None
    name: str
    labels: Mapping[str, str]
    entries: Mapping[int, Entry]
    status: str
    started_ms: int
    ended_ms: int


@dataclass(frozen=True, slots=True)
class Curve:
    """One parent run: the points of one (source, target, ticket), by seed and round."""

    experiment: str
    source: str
    target: str
    ticket: str
    labels: PointLabels
    points: Mapping[int, Mapping[int, Point]]

    @property
    def name(self) -> str:
        if self.source == ANY:
            return f"{self.ticket} on {self.target}"
        return f"{self.source} -> {self.target}, {self.ticket}"

    def runs(self, measured: Mapping[Point, Measurement], given_up: Collection[str], ended: bool) -> list[WantedRun]:
        """The parent and then its children, as far as there are measurements; empty if there are none.

        `given_up`: keys of stages that will have no record (failed, or their source diverged). `ended`: nobody is
        working on the rest, so a run that lacks points is not running any more.
        """
        seeds = [seed for seed, points in self.points.items() if any(point in measured for point in points.values())]
        if not seeds:
            return []
        children = [self._child(seed, measured, given_up, ended) for seed in seeds]
        return [self._parent(children, measured, given_up, ended), *children]

    def _child(
        self, seed: int, measured: Mapping[Point, Measurement], given_up: Collection[str], ended: bool
    ) -> WantedRun:
        points = self.points[seed]
        found = {number: (point, measured[point]) for number, point in points.items() if point in measured}
        entries = {
            number: Entry(
                point.stage[:MARK_DIGITS],
                value.finished_ms,
                {**value.metrics, "fraction_pruned": point.fraction_pruned},
            )
            for number, (point, value) in found.items()
        }
        return WantedRun(
            key=self._key(seed),
            parent=self._key(None),
            name=f"{self.name}, seed {seed}",
            labels={**self._labels(), "seed": str(seed)},
            entries=entries,
            status=_status(points.values(), measured, given_up, ended),
            started_ms=min(value.started_ms for _, value in found.values()),
            ended_ms=max(value.finished_ms for _, value in found.values()),
        )

    def _parent(
        self,
        children: list[WantedRun],
        measured: Mapping[Point, Measurement],
        given_up: Collection[str],
        ended: bool,
    ) -> WantedRun:
        every = [point for points in self.points.values() for point in points.values()]
        by_round: dict[int, list[Point]] = {}
        for point in every:
            by_round.setdefault(point.round, []).append(point)
        entries = {
            number: _mean([point for point in points if point in measured], measured)
            for number, points in sorted(by_round.items())
            if all(point in measured or point.stage in given_up for point in points)
            and any("test_accuracy" in measured[point].metrics for point in points if point in measured)
        }
        return WantedRun(
            key=self._key(None),
            parent=None,
            name=self.name,
            labels=self._labels(),
            entries=entries,
            status=_status(every, measured, given_up, ended),
            started_ms=min(child.started_ms for child in children),
            ended_ms=max(child.ended_ms for child in children),
        )

    def _labels(self) -> dict[str, str]:
        return {
            "source": self.source,
            "target": self.target,
            "ticket": self.ticket,
            "model": self.labels.model,
            "source_optimizer": self.labels.source_optimizer,
            "target_optimizer": self.labels.target_optimizer,
        }

    def _key(self, seed: int | None) -> str:
        names = {"experiment": self.experiment, "source": self.source, "target": self.target, "ticket": self.ticket}
        return key_of({**names, "seed": seed})


def curves_of(grid: Grid) -> list[Curve]:
    """The grid's points by (source, target, ticket), in the grid's order."""
    grouped: dict[tuple[str, str, str], dict[int, dict[int, Point]]] = {}
    for point in grid.points:
        by_seed = grouped.setdefault((point.source, point.target, point.ticket), {})
        by_seed.setdefault(point.seed, {})[point.round] = point
    return [
        Curve(grid.name, *names, labels=labels_of(grid, *names[:2]), points=points) for names, points in grouped.items()
    ]


def report_run_key(experiment: str) -> str:
    """Key of the one run that carries the grid's specification, provenance and report."""
    return key_of({"experiment": experiment, "run": "report"})


def _mean(points: list[Point], measured: Mapping[Point, Measurement]) -> Entry:
    """Mean, std (ddof = 1) and n over seeds; a diverged seed counts with the accuracy it ended at."""
    values = [
        measured[point].metrics["test_accuracy"] for point in points if "test_accuracy" in measured[point].metrics
    ]
    spread = {"test_accuracy_std": statistics.stdev(values)} if len(values) > 1 else {}
    stages = "".join(sorted(point.stage for point in points))
    return Entry(
        mark=hashlib.sha256(stages.encode()).hexdigest()[:MARK_DIGITS],
        timestamp=max(measured[point].finished_ms for point in points),
        metrics={
            "test_accuracy": statistics.fmean(values),
            **spread,
            "test_accuracy_n": len(values),
            "fraction_pruned": statistics.fmean(point.fraction_pruned for point in points),
        },
    )


def _status(
    points: Collection[Point], measured: Mapping[Point, Measurement], given_up: Collection[str], ended: bool
) -> str:
    """MLflow's word: FAILED if it can have no more, KILLED if it would go on when the grid is run again."""
    absent = [point for point in points if point not in measured]
    if not absent:
        return "FINISHED"
    if all(point.stage in given_up for point in absent):
        return "FAILED"
    return "KILLED" if ended else "RUNNING"
