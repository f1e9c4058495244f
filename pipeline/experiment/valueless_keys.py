"""Keys whose value is null, and keys without any: which of them an author may not have written."""

import re
from collections.abc import Iterator

from pipeline.experiment.merging import NAMED
from pipeline.experiment.spec import Spec
from pipeline.experiment.spec_base import Strict
from pipeline.experiment.suggestions import did_you_mean
from pipeline.experiment.written_keys import models_at, written_keys
from pipeline.experiment.yaml_nodes import Node

Place = tuple[str | int, ...]
NO_VALUE = "has no value: write one, or null for its default."
_COMMA = " A comma in {...} begins another key: a decimal number has a point."


def mistakes_in_valueless_keys(document: Node) -> Iterator[tuple[Place, str]]:
    """Where and why, for each key that is null although no field has its name, and each that has nothing after it.

    Null, written out, takes a key back to its default; nothing at all is an entry that was never finished.
    """
    for at, item in _nulls(document, ()):
        key = str(at[-1])
        location = _location(document, at[:-1])
        models: list[type[Strict]] = [Spec]
        for part in location:
            models = models if isinstance(part, int) else models_at(models, part)
        if models and key not in {known for model in models for known in model.written_keys()}:
            hint = _COMMA if re.fullmatch(r"[0-9.]+", key) else did_you_mean(key, written_keys(Spec, location))
            yield at, f"unknown key.{hint}"
        elif item.empty:
            yield at, NO_VALUE


def _nulls(node: Node, at: Place) -> Iterator[tuple[Place, Node]]:
    """Keys of mappings whose value is null or nothing, with their place."""
    if isinstance(node.value, dict):
        for key, item in node.value.items():
            if item.value is None:
                yield (*at, key), item
            elif isinstance(item.value, dict | list):
                yield from _nulls(item, (*at, key))
    elif isinstance(node.value, list):
        for index, item in enumerate(node.value):
            if isinstance(item.value, dict | list):
                yield from _nulls(item, (*at, index))


def _location(node: Node, at: Place) -> Place:
    """`at` as pydantic has it: the name of a union's member is a step in it."""
    found: list[str | int] = []
    for part in at:
        node = node.value[part]
        found.append(part)
        named = node.value.get("name") if isinstance(node.value, dict) else None
        if part in NAMED and named is not None and isinstance(named.value, str):
            found.append(_member(named.value))
    return tuple(found)


def _member(name: str) -> str:
    """The name of the union's member that a model's or a data set's name speaks of: vgg19-8 is a vgg19."""
    return "user" if ".py:" in name else re.sub(r"(-\d+)+$", "", name)
