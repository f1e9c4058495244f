"""Sources and targets made complete: common settings under each one's own, a variant for each point of its grid."""

import itertools
import math
import re
from collections.abc import Iterator
from copy import deepcopy

from pipeline.experiment.merging import overlay, put
from pipeline.experiment.suggestions import did_you_mean
from pipeline.experiment.yaml_nodes import Node, refusal
from pipeline.lottery.locations import own_name

COMMON = ("model", "training", "prune", "resources")
MAX_VARIANTS = 10_000
MAX_PAIRS = 2_000_000
"""Of sources and targets, each of which is looked at."""
MAX_VALUES = 1_000_000
"""Of all sources, targets or baselines of a grid, with the common settings in each."""


def complete(root: Node) -> Node:
    """The document with complete `sources` and `targets`, and the common settings moved into them.

    Keys that begin with "x-" are dropped: a place for anchors.
    """
    if not isinstance(root.value, dict):
        return root
    document = {key: node for key, node in root.value.items() if key not in COMMON and not key.startswith("x-")}
    common = {key: root.value[key] for key in COMMON if key in root.value}
    sources = document.get("sources")
    if sources is not None and isinstance(sources.value, list):
        document["sources"] = _completed(sources, common)
    targets = document.get("targets")
    for_targets = {key: node for key, node in common.items() if key != "prune"}
    if targets is not None and isinstance(targets.value, list):
        document["targets"] = _completed(targets, for_targets)
    elif "sources" in document and (targets is None or targets.value in (None, "same")):
        _check_pairs({**document, "targets": document["sources"]})
        document["targets"] = _same(document["sources"])
    _check_pairs(document)
    baselines = document.get("baselines")
    if baselines is not None and isinstance(baselines.value, list) and "targets" in document:
        document["baselines"] = _laid_over_targets(baselines, document["targets"])
    return Node(document, root.at, root.path)


def _check_pairs(document: dict[str, Node]) -> None:
    listed = [node.value for node in map(document.get, ("sources", "targets")) if node and isinstance(node.value, list)]
    pairs = math.prod(map(len, listed))
    if len(listed) == 2 and pairs > MAX_PAIRS:
        at = document["sources"].at
        raise refusal(at, "sources", f"{pairs:,} pairs of a source and a target, more than {MAX_PAIRS:,}.")


def _laid_over_targets(baselines: Node, targets: Node) -> Node:
    """Each with the data set, training and resources of its target, but for what it says itself; nothing is frozen.

    Raises UserError for a target that there is not; what is no name or no mapping is left to validation.
    """
    listed = targets.value if isinstance(targets.value, list) else []
    sides = [side.value for side in listed if isinstance(side.value, dict) and "name" in side.value]
    of_target = {side["name"].value: side for side in sides if isinstance(side["name"].value, str)}
    whole = bool(of_target) and len(of_target) == len(listed)
    made = _Made()
    for entry in baselines.value:
        target = entry.value.get("target") if isinstance(entry.value, dict) else None
        name = target.value if target is not None and isinstance(target.value, str) else ""
        if target is not None and name and whole and name not in of_target:
            known = did_you_mean(name, of_target)
            raise refusal(target.at, target.path, f"there is no target {name!r}.{known}")
        side = of_target.get(name, {})
        for key in ("dataset", "training", "resources") if side else ():
            base = deepcopy(side.get(key))
            if base is not None and isinstance(base.value, dict):
                base.value.pop("frozen", None)
            if base is not None or key in entry.value:
                entry.value[key] = overlay(base, entry.value.get(key), key)
        made.add(entry, entry)
    return Node(made.nodes, baselines.at, baselines.path)


def _completed(entries: Node, common: dict[str, Node]) -> Node:
    made = _Made()
    for entry in entries.value:
        for variant in _variants(entry, common):
            made.add(variant, entry)
    return Node(made.nodes, entries.at, entries.path)


class _Made:
    """Complete entries, as many as a memory holds."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._values = 0

    def add(self, node: Node, entry: Node) -> None:
        """Raises UserError at `entry`, which `node` was made from, if there are too many."""
        self.nodes.append(node)
        if len(self.nodes) > MAX_VARIANTS:
            raise refusal(entry.at, entry.path, f"more than {MAX_VARIANTS:,} variants.")
        self._values += node.size
        if self._values > MAX_VALUES:
            raise refusal(entry.at, entry.path, f"with the common settings in each, more than {MAX_VALUES:,} values.")


def _same(sources: Node) -> Node:
    if not isinstance(sources.value, list):
        return deepcopy(sources)
    targets = [
        Node({k: v for k, v in source.value.items() if k != "prune"}, source.at, source.path)
        if isinstance(source.value, dict)
        else source
        for source in sources.value
    ]
    return Node(deepcopy(targets), sources.at, sources.path)


def _variants(entry: Node, common: dict[str, Node]) -> Iterator[Node]:
    if isinstance(entry.value, str):
        entry = Node({"dataset": Node(entry.value, entry.at, entry.path)}, entry.at, entry.path)
    if not isinstance(entry.value, dict):
        yield entry
        return
    axes = dict(_axes(entry.value["grid"], "")) if "grid" in entry.value else {}
    if math.prod(len(values.value) for values in axes.values()) > MAX_VARIANTS:
        raise refusal(entry.at, f"{entry.path}.grid", f"more than {MAX_VARIANTS:,} variants.")
    shorts = _short_names(list(axes))
    own = Node({key: node for key, node in entry.value.items() if key != "grid"}, entry.at, entry.path)
    for choice in itertools.product(*(values.value for values in axes.values())):
        variant = deepcopy(own)
        suffix = ""
        for (path, values), value in zip(axes.items(), choice, strict=True):
            put(variant, path, Node(deepcopy(value).value, values.at, values.path))
            suffix += _suffix(shorts[path], value.plain())
        for key, node in common.items():
            below = variant.value.get(key)
            variant.value[key] = overlay(node, below, key)
        name = variant.value.get("name")
        if name is None or (name.value is None and not name.empty):
            name = Node(_default_name(variant.value.get("dataset")), entry.at, entry.path)
        if isinstance(name.value, str):
            variant.value["name"] = Node(name.value + suffix, name.at, name.path)
        yield variant


def _axes(grid: Node, path: str) -> Iterator[tuple[str, Node]]:
    """`grid: {training.optimizer.lr: [0.1, 0.01]}`, or the same as nested mappings."""
    if isinstance(grid.value, dict) and grid.value:
        for key, node in grid.value.items():
            yield from _axes(node, f"{path}.{key}" if path else key)
    elif path and isinstance(grid.value, list) and grid.value:
        yield path, grid
    else:
        raise refusal(
            grid.at, grid.path, "should map fields to lists of values, as in {training.optimizer.lr: [0.1, 0.01]}."
        )


def _short_names(paths: list[str]) -> dict[str, str]:
    last = [path.rsplit(".", 1)[-1] for path in paths]
    return {path: short if last.count(short) == 1 else path for path, short in zip(paths, last, strict=True)}


def _suffix(short: str, value: object) -> str:
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return "-" + _safe(value["name"])
    return "-" + _safe(f"{short}={value}")


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._=+]+", "_", text).strip("_")[:60]


def _default_name(dataset: Node | None) -> str:
    """A name from the data set's own, its half and its part: "mnist", "cifar10-a", "digits-part1"."""
    written = dataset.plain() if dataset else None
    options = written if isinstance(written, dict) else {"name": written}
    name = options.get("path") if options.get("name") in ("parquet", "images") else options.get("name")
    if not isinstance(name, str):
        return "unnamed"
    label = _safe(name.rsplit(":", 1)[-1] if ".py:" in name else own_name(name)) or "unnamed"
    if isinstance(options.get("half"), str):
        label += f"-{options['half']}"
    split = options.get("split")
    if isinstance(split, dict):
        label += f"-part{split.get('part', 0)}"
    return label
