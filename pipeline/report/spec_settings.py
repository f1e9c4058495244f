"""The settings of a spec, field by field: what can change a result or how it is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from pipeline.experiment.spec import Spec
from pipeline.experiment.spec_analysis import Paper

ABOUT = ("name", "description", "sources", "targets", "seeds", "tickets", "max_stages")
"""Fields of the spec that name or list things; the rows about them are made one by one."""
PUBLISHED = "analysis.published"
"""A paper's numbers are shown where ours are."""


def settings_of(spec: Spec) -> Iterator[tuple[str, Any, bool]]:
    """(field, JSON value, whether at its default); ` (names)` follows a field in which sources or targets differ."""
    sides = (*spec.sources, *spec.targets)
    yield from _of_sides({side.name: {"model": (side.model.model_dump(mode="json"), False)} for side in sides})
    yield "seeds", len(spec.seeds), False
    for field, value, default in _leaves(spec, ""):
        if field.partition(".")[0] not in ABOUT and not field.startswith(PUBLISHED):
            yield field, value, default
    yield "tickets", [ticket.in_short() for ticket in spec.tickets], False
    yield from _of_sides({side.name: dict(_named(side, "training")) for side in sides})
    yield from _of_sides({side.name: dict(_named(side, "prune")) for side in spec.sources})


def _named(side: BaseModel, part: str) -> Iterator[tuple[str, tuple[Any, bool]]]:
    for field, value, default in _leaves(getattr(side, part), f"{part}."):
        yield field, (value, default)


def _of_sides(sides: Mapping[str, Mapping[str, tuple[Any, bool]]]) -> Iterator[tuple[str, Any, bool]]:
    """A row for each field; one for each group of sides where they differ in it."""
    for field in dict.fromkeys(field for fields in sides.values() for field in fields):
        groups: dict[str, tuple[list[str], tuple[Any, bool]]] = {}
        for name, fields in sides.items():
            if field in fields:
                groups.setdefault(json.dumps(fields[field][0]), ([], fields[field]))[0].append(name)
        for names, (value, default) in groups.values():
            everywhere = len(groups) == 1 and len(names) == len(sides)
            yield field if everywhere else f"{field} ({', '.join(names)})", value, default


def _leaves(part: BaseModel, prefix: str) -> Iterator[tuple[str, Any, bool]]:
    """Fields as (path, JSON value, whether at its default); optimizers and rules are one value with their options."""
    dumped = part.model_dump(mode="json")
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if (
            isinstance(value, BaseModel)
            and "name" not in type(value).model_fields
            and name not in ("lr_decay", "augment")
        ):
            if isinstance(value, Paper):
                yield f"{prefix}{name}", value.title, False
            else:
                yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield (
                f"{prefix}{name}",
                dumped[name],
                not field.is_required() and value == field.get_default(call_default_factory=True),
            )


def written(value: Any) -> str:
    """A JSON value as YAML has it in one line."""
    if isinstance(value, dict):
        inside = ", ".join(f"{key}: {written(one)}" for key, one in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return value if isinstance(value, str) else json.dumps(value)
