"""The data sets of a grid, as MLflow shows them among the inputs of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pipeline.lottery.locations import own_name
from pipeline.recipes.keys import canonical, key_of

if TYPE_CHECKING:
    from pipeline.experiment.grid import Grid
    from pipeline.experiment.stages import Stage

DIGEST_DIGITS = 12
"""Of a SHA-256; MLflow takes 36 at most."""
NAMED_BY_PLACE = ("parquet", "images", "user")
"""Kinds of data sets without a name of their own; others are the same wherever they are."""
MOST_CLASSES = 60
"""Characters of a list of classes; a longer one is only counted."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """What a stage learns from, and is tested on."""

    name: str
    """For people: `mnist`, `digits, classes 0-4`."""
    digest: str
    """Names the content: the SHA-256 of the data fields, fingerprints of files among them."""
    fields: str
    """The data fields, as JSON."""
    shape: tuple[int, ...]
    """Channels, height, width."""
    classes: int
    context: str = ""
    """`source`, `target`, or both."""

    @classmethod
    def of(cls, stage: Stage) -> DataSet:
        """The data of a train stage."""
        configuration = stage.training.configuration
        data, shape, classes = configuration.data.fields(), configuration.input, configuration.classes
        digest = key_of({"data": data, "input": shape})[:DIGEST_DIGITS]
        name = _name(data, stage.locations.get("data"))
        return cls(name, digest, canonical(data), shape, classes)

    def profile(self) -> str:
        """JSON of what there is to know without reading an image."""
        return json.dumps({"classes": self.classes, "shape": list(self.shape)})

    def schema(self) -> str:
        """JSON in MLflow's own form for columns, which its UI shows as a table."""
        shape = " x ".join(map(str, self.shape))
        columns = [("image", f"float32, {shape}"), ("label", f"int64, 0 to {self.classes - 1}")]
        return json.dumps({"mlflow_colspec": [{"name": name, "type": kind} for name, kind in columns]})


def inputs_of(grid: Grid) -> dict[tuple[str, str, int], tuple[DataSet, ...]]:
    """The data sets of each (source, target, seed), for a seed may have its own classes: that of the target alone,
    where the source is "any" or has no mask."""
    targets: dict[tuple[str, int], DataSet] = {}
    sources: dict[tuple[str, int], DataSet] = {}
    for point in grid.points:
        source, target = (point.source, point.seed), (point.target, point.seed)
        if target not in targets:
            targets[target] = DataSet.of(grid.stages[point.stage])
        if point.mask is not None and source not in sources:
            sources[source] = DataSet.of(grid.stages[grid.stages[point.mask].inputs["trained"].stage])
    named = dict.fromkeys((point.source, point.target, point.seed) for point in grid.points)
    return {
        (source, target, seed): _inputs(sources.get((source, seed)), targets[target, seed])
        for source, target, seed in named
    }


def _inputs(source: DataSet | None, target: DataSet) -> tuple[DataSet, ...]:
    if source is None:
        return (replace(target, context="target"),)
    if source.digest == target.digest:
        # MLflow keeps one input for a data set.
        return (replace(target, context="source, target"),)
    return replace(source, context="source"), replace(target, context="target")


def _name(data: Mapping[str, Any], location: str | None) -> str:
    """The data set's own name, a folder's or a function's, with what was selected from it."""
    known = own_name(location) if location is not None and data["name"] in NAMED_BY_PLACE else data["name"]
    options: dict[str, Callable[[Any], str]] = {
        "classes": lambda value: f"classes {_ranges(value)}",
        "half": lambda value: f"half {value}",
        "per_class": lambda value: f"{value} per class",
        "resize": lambda value: f"resized to {value}",
        "crop": lambda value: f"cropped to {value}",
        "channels": lambda value: f"{value} channels",
    }
    selected = [tell(data[option]) for option, tell in options.items() if option in data]
    return ", ".join([str(data.get("function", known)), *selected])


def _ranges(classes: Sequence[int]) -> str:
    """`0-4 7`, in the order given; how many, if that is too long."""
    starts = [0, *(i + 1 for i, (one, other) in enumerate(pairwise(classes)) if other != one + 1), len(classes)]
    runs = [classes[begin:end] for begin, end in pairwise(starts)]
    text = " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return text if len(text) <= MOST_CLASSES else f"({len(classes)} of them)"
