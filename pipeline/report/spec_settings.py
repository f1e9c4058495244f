"""The settings of a spec, field by field: what can change a result or how it is read; and in which two specs differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import pandas as pd
from pydantic import BaseModel

from pipeline.experiment.spec import Spec
from pipeline.experiment.spec_analysis import Paper

ABOUT = ("name", "description", "sources", "targets", "seeds", "tickets", "max_stages")
"""Fields of the spec that name or list things; the rows about them are made one by one."""
PUBLISHED = "analysis.published"
"""A paper's numbers are shown where ours are."""


class Setting(NamedTuple):
    """` (names)` follows a field in which sources or targets differ; `value` is JSON."""

    field: str
    value: object
    is_default: bool


def settings_of(spec: Spec) -> Iterator[Setting]:
    """Source by source and target by target where these differ, as one setting where they do not."""
    sides = (*spec.sources, *spec.targets)
    yield from _of_sides({side.name: [Setting("model", side.model.model_dump(mode="json"), False)] for side in sides})
    yield Setting("seeds", len(spec.seeds), False)
    for setting in _leaves(spec, ""):
        if setting.field.partition(".")[0] not in ABOUT and not setting.field.startswith(PUBLISHED):
            yield setting
    yield Setting("tickets", [ticket.in_short() for ticket in spec.tickets], False)
    yield from _of_sides({side.name: _leaves(side.training, "training.") for side in sides})
    yield from _of_sides({side.name: _leaves(side.prune, "prune.") for side in spec.sources})


def _of_sides(sides: Mapping[str, Iterable[Setting]]) -> Iterator[Setting]:
    """A row for each field; one for each group of sides where they differ in it."""
    fields: dict[str, dict[str, tuple[Setting, list[str]]]] = {}
    for name, settings in sides.items():
        for setting in settings:
            groups = fields.setdefault(setting.field, {})
            groups.setdefault(json.dumps(setting.value), (setting, []))[1].append(name)
    for groups in fields.values():
        for setting, names in groups.values():
            everywhere = len(names) == len(sides)
            yield setting if everywhere else setting._replace(field=f"{setting.field} ({', '.join(names)})")


def _leaves(part: BaseModel, prefix: str) -> Iterator[Setting]:
    """Fields by their paths; optimizers and rules are one value with their options."""
    dumped = part.model_dump(mode="json")
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if (
            isinstance(value, BaseModel)
            and "name" not in type(value).model_fields
            and name not in ("lr_decay", "augment")
        ):
            if isinstance(value, Paper):
                yield Setting(f"{prefix}{name}", value.title, False)
            else:
                yield from _leaves(value, f"{prefix}{name}.")
        else:
            is_default = not field.is_required() and value == field.get_default(call_default_factory=True)
            yield Setting(f"{prefix}{name}", dumped[name], is_default)


def written(value: object) -> str:
    """A JSON value as YAML has it in one line."""
    if isinstance(value, dict):
        inside = ", ".join(f"{key}: {written(one)}" for key, one in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


COLUMNS = ["field", "a", "b"]
ABSENT = "-"


def spec_differences(a: Spec, b: Spec) -> pd.DataFrame:
    """One row for each setting whose values differ, written as YAML has them; "-" where a spec lacks it.

    A setting that is not the same for all sources or targets of a spec is written with their names. Names and
    descriptions of experiments do not count.
    """
    left, right = _settings(a), _settings(b)
    rows = [
        (field, left.get(field, ABSENT), right.get(field, ABSENT))
        for field in dict.fromkeys([*left, *right])
        if left.get(field) != right.get(field)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _settings(spec: Spec) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for field, text in _texts(spec):
        found.setdefault(field, []).append(text)
    return {field: "; ".join(texts) for field, texts in found.items()}


def _texts(spec: Spec) -> Iterator[tuple[str, str]]:
    for kind, sides in (("source", spec.sources), ("target", spec.targets)):
        for side in sides:
            yield f"{kind} {side.name}", written(side.dataset.in_short())
    for ticket in spec.tickets:
        yield f"ticket {ticket.name}", written({key: each for key, each in ticket.in_short().items() if key != "name"})
    yield "seeds", written(list(spec.seeds))
    for field, value, _ in settings_of(spec):
        bare, _, names = field.partition(" (")
        if bare not in ("seeds", "tickets"):
            yield bare, f"{written(value)} ({names}" if names else written(value)
