"""What differs between two specs, setting by setting."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from pipeline.experiment.spec import Spec
from pipeline.report.spec_settings import settings_of, written

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
    for field, text in _said(spec):
        found.setdefault(field, []).append(text)
    return {field: "; ".join(texts) for field, texts in found.items()}


def _said(spec: Spec) -> Iterator[tuple[str, str]]:
    for kind, sides in (("source", spec.sources), ("target", spec.targets)):
        for side in sides:
            yield f"{kind} {side.name}", written(side.dataset.in_short())
    for ticket in spec.tickets:
        yield (
            f"ticket {ticket.name}",
            written({key: value for key, value in ticket.in_short().items() if key != "name"}),
        )
    yield "seeds", written(list(spec.seeds))
    for field, value, _ in settings_of(spec):
        bare, _, names = field.partition(" (")
        if bare not in ("seeds", "tickets"):
            yield bare, f"{written(value)} ({names}" if names else written(value)
