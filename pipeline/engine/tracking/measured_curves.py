"""The curves of a grid with what was measured of them so far, and which of them MLflow lacks."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from pipeline.engine.store.records import Record
from pipeline.engine.tracking.curves import curves_of
from pipeline.engine.tracking.metrics import Measurement
from pipeline.engine.tracking.runs import WantedRun
from pipeline.recipes.keys import canonical

if TYPE_CHECKING:
    from pipeline.experiment.grid import Grid, Point


class MeasuredCurves:
    """Curves go by their number. Every method may be called from any thread."""

    def __init__(self, grid: Grid) -> None:
        self._curves = curves_of(grid)
        self._curve_of = {
            point: number
            for number, curve in enumerate(self._curves)
            for by_round in curve.points.values()
            for draws in by_round.values()
            for point in draws
        }
        self._measured: dict[Point, Measurement] = {}
        self._made_with: dict[str, set[str]] = {"hardware": set(), "versions": set()}
        self._behind: set[int] = set()
        self._lock = threading.Lock()

    def add(self, points_with_records: Iterable[tuple[Point, Record]], *, write: bool) -> bool:
        """Take note of points that are new. `write`: MLflow lacks their curves; whether it lacks any."""
        with self._lock:
            for point, record in points_with_records:
                if point in self._measured:
                    continue
                self._measured[point] = Measurement.of(record)
                if write:
                    self._behind.add(self._curve_of[point])
                self._made_with["hardware"].add(canonical(record.get("hardware", {})))
                self._made_with["versions"].add(canonical(record.get("versions", {})))
            return bool(self._behind)

    def take_behind(self) -> set[int]:
        """The curves that MLflow lacks, which somebody is about to write."""
        with self._lock:
            behind, self._behind = self._behind, set()
        return behind

    def put_back(self, curves: Collection[int]) -> None:
        """They could not be written."""
        with self._lock:
            self._behind |= set(curves)

    def begun(self) -> set[int]:
        """All curves of which there is anything."""
        with self._lock:
            return {self._curve_of[point] for point in self._measured}

    def runs(self, curves: Collection[int], given_up: Collection[str], *, ended: bool) -> list[WantedRun]:
        """As MLflow should show them; parents come before their children."""
        with self._lock:
            of_each = [self._curves[number].runs(self._measured, given_up, ended) for number in sorted(curves)]
        return [run for runs in of_each for run in runs]

    @property
    def seconds(self) -> dict[str, float]:
        """How long each stage took, by key."""
        return {point.stage: value.seconds for point, value in self._measured.items()}

    @property
    def made_with(self) -> dict[str, set[str]]:
        """Every distinct hardware, and set of versions, as JSON."""
        return self._made_with
