"""The stages that could run now, the one with the longest path first, and those put off for a while."""

import heapq
import itertools
from collections.abc import Callable

from pipeline.engine.lanes.stage_graph import StageGraph
from pipeline.engine.lanes.view import Demand
from pipeline.experiment.stages import Shape


class ReadyStages:
    """A queue for each shape of lane. `clock`: seconds from anywhere."""

    def __init__(self, graph: StageGraph, clock: Callable[[], float]) -> None:
        self._graph = graph
        self._clock = clock
        self._queues: dict[Shape, list[tuple[int, int, str]]] = {}
        self._order = itertools.count()
        self._since: dict[str, float] = {}
        self._due: dict[str, float] = {}

    def __bool__(self) -> bool:
        """Whether there is a stage, ready or put off."""
        return bool(self._since or self._due)

    def add(self, key: str) -> None:
        queue = self._queues.setdefault(self._graph.stages[key].shape, [])
        heapq.heappush(queue, (-self._graph.longest_path[key], next(self._order), key))
        self._since[key] = self._clock()

    def put_off(self, key: str, seconds: float) -> None:
        self._due[key] = self._clock() + seconds

    def add_due(self) -> None:
        """Make those ready that were put off until now."""
        if not self._due:
            return
        now = self._clock()
        for key in [key for key, due in self._due.items() if due <= now]:
            del self._due[key]
            self.add(key)

    def take(self, shape: Shape) -> str | None:
        """Key of the next stage for a lane of this shape."""
        self.add_due()
        queue = self._queues.get(shape)
        if not queue:
            return None
        key = heapq.heappop(queue)[2]
        del self._since[key]
        return key

    def demand(self) -> Demand:
        now = self._clock()
        return {
            shape: (len(queue), max(now - self._since[key] for _, _, key in queue))
            for shape, queue in self._queues.items()
            if queue
        }
