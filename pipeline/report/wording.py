"""Numbers as the report says them: percent of the weights, points of accuracy, intervals and p."""

import datetime
from collections.abc import Callable
from types import SimpleNamespace

import pandas as pd

SMALLEST_P = 0.0001


def shown(value: float, form: Callable[[float], str] = str) -> str:
    """A number as `form` writes it, or a name; empty where there is none."""
    return "" if pd.isna(value) else form(value)


def percent_left(fraction: float) -> str:
    """`fraction` in [0, 1] as percent, in three significant digits: 0.12 % is told from 0.15 %."""
    return f"{100 * fraction:.3g} %"


def points(difference: float) -> str:
    """A difference of accuracies in [-1, 1] as signed points."""
    return f"{100 * difference:+.2f}"


def margin_points(margin: float) -> str:
    """`1 point` or `0.5 points`, of a margin in [0, 1]."""
    size = f"{100 * margin:.3g}"
    return f"{size} point" + "s" * (size != "1")


def interval(row: SimpleNamespace) -> str:
    """`low` and `high` of a comparison in points."""
    return f"{points(row.low)} to {points(row.high)}"


def p_value(p: float) -> str:
    """`0.0123`, or `<0.0001`."""
    return f"<{SMALLEST_P:f}".rstrip("0") if p < SMALLEST_P else f"{p:.2g}"


def p_equals(p: float) -> str:
    """`p = 0.012` or `p <0.0001`."""
    return f"p {p_value(p)}" if p < SMALLEST_P else f"p = {p_value(p)}"


def listed(parts: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def moment(seconds: float) -> str:
    """Unix seconds as date and time, UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
