"""One mapping laid over another: `extends`, `--set`, and the overrides of a source, a target or a grid variant."""

import re
from copy import deepcopy

from pipeline.experiment.yaml_nodes import Node, Position, refusal

NAMED = frozenset({"model", "optimizer", "dataset"})
"""Fields that may be written as a bare name: `optimizer: adam` is `optimizer: {name: adam}`."""


def overlay(base: Node | None, over: Node | None, key: str = "") -> Node:
    """`over` on `base`: mappings merge key by key, all else is replaced; null takes a key back to its default.

    A mapping that names something else (`optimizer: {name: adam}` over SGD's) replaces: options of one optimizer,
    its learning rate above all, mean nothing for another.
    """
    if base is None or over is None:
        chosen = over or base
        return deepcopy(chosen) if chosen else Node({})
    lower, upper = spelled_out(base, key), spelled_out(over, key)
    if not (isinstance(lower.value, dict) and isinstance(upper.value, dict)):
        return deepcopy(over)
    if key in NAMED and "name" in upper.value and "name" in lower.value and not _same_name(lower, upper):
        return deepcopy(over)
    merged = {name: deepcopy(node) for name, node in lower.value.items()}
    for name, node in upper.value.items():
        merged[name] = overlay(merged.get(name), node, name)
    return Node(merged, over.at, over.path)


def _same_name(lower: Node, upper: Node) -> bool:
    return bool(lower.value["name"].value == upper.value["name"].value)


def spelled_out(node: Node, key: str) -> Node:
    """A bare name where a mapping with a `name` may stand, as that mapping."""
    if key in NAMED and isinstance(node.value, str):
        return Node({"name": Node(node.value, node.at, node.path)}, node.at, node.path)
    return node


def without_nulls(node: Node) -> Node:
    """Keys whose value is null are left out, and so at their default."""
    if isinstance(node.value, dict):
        kept = {key: without_nulls(item) for key, item in node.value.items() if item.value is not None}
        return Node(kept, node.at, node.path)
    if isinstance(node.value, list):
        return Node([without_nulls(item) for item in node.value], node.at, node.path)
    return node


def put(root: Node, path: str, value: Node) -> None:
    """Lay `value` over what is at `path` ("training.optimizer.lr", "sources.0.prune.rate") in the tree `root`.

    Mappings on the way are made where absent: whether their names exist is the spec's to say. Raises UserError where
    the way leads through a value that has no parts.
    """
    node, keys = root, path.split(".")
    prefix = value.path.removesuffix(path)  # where a grid's own keys begin
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(node.value, list):
            node = _put_in_list(node, key, path, value.at, value if last else None)
        elif isinstance(node.value, dict):
            old = node.value.get(key)
            if last:
                node.value[key] = overlay(old, value, key)
            elif old is None or old.value is None:
                node.value[key] = Node({}, value.at, prefix + ".".join(keys[: depth + 1]))
            else:
                node.value[key] = spelled_out(old, key)
            node = node.value[key]
        else:
            above = ".".join(keys[:depth])
            raise refusal(value.at, path, f"{above} is {node.value!r}, which has no {key!r}; set {above} as a whole.")


def _put_in_list(node: Node, key: str, path: str, at: Position, value: Node | None) -> Node:
    size = len(node.value)
    if not re.fullmatch(r"[0-9]{1,9}", key) or int(key) >= size:
        raise refusal(at, path, f"{key!r} is no place in a list of {size}: write a number from 0 to {size - 1}.")
    index = int(key)
    if value is not None:
        node.value[index] = overlay(node.value[index], value)
    elif isinstance(node.value[index].value, str):
        # sources: [digits] is short for sources: [{dataset: digits}]
        short = node.value[index]
        node.value[index] = Node({"dataset": short}, short.at, short.path)
    item: Node = node.value[index]
    return item
