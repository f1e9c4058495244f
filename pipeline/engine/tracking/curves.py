"""What MLflow should show of a grid: pure functions from points and records to runs, without MLflow.

One parent run for each (source, target, ticket), one child for each seed, in which several draws of a control are
averaged. The round is the step, so that MLflow's own chart draws the pruning curve. Everything comes from the records,
timestamps too: the same records make the same runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from pipeline.engine.point_labels import PointLabels, labels_of
from pipeline.engine.tracking.colours import colours
from pipeline.engine.tracking.data_sets import DataSet, inputs_of
from pipeline.engine.tracking.metrics import ACCURACY, PRUNED, Entry, Measurement, marked, mean, merged
from pipeline.engine.tracking.names import curve_name, shortened
from pipeline.engine.tracking.runs import WantedRun, run_key

if TYPE_CHECKING:
    from pipeline.experiment.grid import Grid, Point

ALL_SEEDS = "all"
"""Label `seed` of a parent run: one filter gives the curves without the runs that they are the means of."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One parent run: the points of one (source, target, ticket), by seed and round."""

    experiment: str
    source: str
    target: str
    ticket: str
    labels: PointLabels
    colour: str
    inputs: Mapping[int, tuple[DataSet, ...]]
    """By seed."""
    points: Mapping[int, Mapping[int, Sequence[Point]]]
    """By seed and round; several where a control is drawn several times."""

    @property
    def name(self) -> str:
        """In full, however long."""
        optimizers = self.labels.source_optimizer, self.labels.target_optimizer
        return curve_name(self.source, self.target, self.ticket, *optimizers)

    def runs(self, measured: Mapping[Point, Measurement], given_up: Collection[str], ended: bool) -> list[WantedRun]:
        """The parent and then its children, as far as there are measurements; empty if there are none.

        `given_up`: keys of stages that will have no record (failed, or their source diverged). `ended`: nobody is
        working on the rest, so a run that lacks points is not running any more.
        """
        seeds = [seed for seed in self.points if any(point in measured for point in self._of(seed))]
        if not seeds:
            return []
        children = [self._child(seed, measured, given_up, ended) for seed in seeds]
        return [self._parent(children, measured, given_up, ended), *children]

    def _child(
        self, seed: int, measured: Mapping[Point, Measurement], given_up: Collection[str], ended: bool
    ) -> WantedRun:
        points, key = self._of(seed), self._key(seed)
        found = [measured[point] for point in points if point in measured]
        entries = {
            number: _over_draws([point for point in draws if point in measured], measured)
            for number, draws in self.points[seed].items()
            if _complete(draws, measured, given_up)
        }
        return WantedRun(
            key=key,
            parent=self._key(None),
            name=shortened(f"{self.name}, seed {seed}", key),
            labels=self._labels(str(seed)),
            entries=entries,
            status=_status(points, measured, given_up, ended),
            started_ms=min(value.started_ms for value in found),
            ended_ms=max(value.finished_ms for value in found),
            colour=self.colour,
            inputs=self.inputs[seed],
        )

    def _parent(
        self,
        children: list[WantedRun],
        measured: Mapping[Point, Measurement],
        given_up: Collection[str],
        ended: bool,
    ) -> WantedRun:
        every = [point for seed in self.points for point in self._of(seed)]
        by_round: dict[int, list[Point]] = {}
        for point in every:
            by_round.setdefault(point.round, []).append(point)
        entries = {
            number: _over_seeds([point for point in points if point in measured], measured)
            for number, points in sorted(by_round.items())
            if _complete(points, measured, given_up)
            and any(ACCURACY in measured[point].metrics for point in points if point in measured)
        }
        return WantedRun(
            key=self._key(None),
            parent=None,
            name=shortened(self.name, self._key(None)),
            labels=self._labels(ALL_SEEDS),
            entries=entries,
            status=_status(every, measured, given_up, ended),
            started_ms=min(child.started_ms for child in children),
            ended_ms=max(child.ended_ms for child in children),
            colour=self.colour,
            inputs=tuple(dict.fromkeys(data for inputs in self.inputs.values() for data in inputs)),
        )

    def _of(self, seed: int) -> list[Point]:
        return [point for draws in self.points[seed].values() for point in draws]

    def _labels(self, seed: str) -> dict[str, str]:
        return {
            "source": self.source,
            "target": self.target,
            "ticket": self.ticket,
            "model": self.labels.model,
            "source_optimizer": self.labels.source_optimizer,
            "target_optimizer": self.labels.target_optimizer,
            "seed": seed,
        }

    def _key(self, seed: int | None) -> str:
        return run_key(self.experiment, self.source, self.target, self.ticket, seed)


def curves_of(grid: Grid) -> list[Curve]:
    """The grid's points by (source, target, ticket), in the grid's order."""
    grouped: dict[tuple[str, str, str], dict[int, dict[int, list[Point]]]] = {}
    for point in grid.points:
        by_seed = grouped.setdefault((point.source, point.target, point.ticket), {})
        by_seed.setdefault(point.seed, {}).setdefault(point.round, []).append(point)
    colour_of, inputs = colours(grouped), inputs_of(grid)
    return [
        Curve(
            grid.name,
            *names,
            labels_of(grid, *names),
            colour_of[names],
            {seed: inputs[(*names[:2], seed)] for seed in points},
            points,
        )
        for names, points in grouped.items()
    ]


def _complete(points: Sequence[Point], measured: Mapping[Point, Measurement], given_up: Collection[str]) -> bool:
    """Whether there is something to log, and no more to wait for."""
    return any(point in measured for point in points) and all(
        point in measured or point.stage in given_up for point in points
    )


def _over_draws(points: list[Point], measured: Mapping[Point, Measurement]) -> Entry:
    """What a seed's run logs at a round: the results of its stage, or their means over draws."""
    metrics = merged([{**measured[point].metrics, PRUNED: point.fraction_pruned} for point in points])
    return Entry(
        marked(*(point.stage for point in points)), max(measured[point].finished_ms for point in points), metrics
    )


def _over_seeds(points: list[Point], measured: Mapping[Point, Measurement]) -> Entry:
    accuracies: dict[int, list[float]] = {}
    for point in points:
        if ACCURACY in measured[point].metrics:
            accuracies.setdefault(point.seed, []).append(measured[point].metrics[ACCURACY])
    return mean(
        [fmean(draws) for draws in accuracies.values()],
        [point.fraction_pruned for point in points],
        stages=[point.stage for point in points],
        timestamp=max(measured[point].finished_ms for point in points),
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
