"""Which stages wait for which, and how long the way is that begins at each."""

from collections.abc import Callable, Iterable, Iterator
from graphlib import TopologicalSorter

from pipeline.experiment.stages import Stage

OVERHEAD = 50
"""Iterations that a stage costs beside its own: keeps long chains of short stages ahead of single evaluations."""


class StageGraph:
    """Stages by key; what they read of stages outside of these is there already."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        self.stages = {stage.key: stage for stage in stages}
        self.parents = {
            key: {read.stage for read in stage.inputs.values()} & self.stages.keys()
            for key, stage in self.stages.items()
        }
        self._children: dict[str, list[str]] = {key: [] for key in self.stages}
        for key, parents in self.parents.items():
            for parent in parents:
                self._children[parent].append(key)
        self.longest_path = self._longest_paths()
        """Iterations on the longest path that begins with a stage, by its key."""

    def _longest_paths(self) -> dict[str, int]:
        longest: dict[str, int] = {}
        for key in reversed(list(TopologicalSorter(self.parents).static_order())):
            below = max((longest[child] for child in self._children[key]), default=0)
            longest[key] = self.stages[key].iterations + OVERHEAD + below
        return longest

    def descendants(self, key: str, without: Callable[[str], bool]) -> Iterator[str]:
        """Keys of what reads the stage, directly or not; nothing beyond a stage that `without` is true of."""
        stack = list(self._children[key])
        while stack:
            below = stack.pop()
            if not without(below):
                yield below
                stack.extend(self._children[below])
