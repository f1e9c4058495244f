"""What runs log at one round: the results of a stage, or the mean over seeds and how far it can be trusted."""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pipeline.engine.store.records import Record

ACCURACY = "test_accuracy"
PRUNED = "fraction_pruned"
METRICS = (ACCURACY, "test_loss", "train_accuracy", "train_loss")
"""Named as in the results table, without a prefix: MLflow's charts show the sections that prefixes make above the rest,
and the one chart that answers the question would be out of sight. Names that begin alike are side by side."""
MARK_DIGITS = 12
"""Of a SHA-256: marks tell the rounds of one run apart, and all of them fit into one MLflow tag (5,000 characters)."""
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Measurement:
    """What tracking needs of a train stage's record."""

    started_ms: int
    finished_ms: int
    seconds: float
    metrics: Mapping[str, float]

    @classmethod
    def of(cls, record: Record) -> Measurement:
        """Losses that are not numbers (a diverged run) are left out: a chart cannot show them."""
        numbers = {name: record["summary"].get(name) for name in METRICS} | {"seconds": record["seconds"]}
        stopped = record["summary"].get("early_stop", {})
        numbers |= {f"early_stop_{name}": stopped.get(name) for name in ("iteration", ACCURACY)}
        return cls(
            started_ms=round(1000 * record["started"]),
            finished_ms=round(1000 * record["finished"]),
            seconds=float(record["seconds"]),
            metrics={
                name: float(value) for name, value in numbers.items() if value is not None and math.isfinite(value)
            },
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """What a run logs at one round."""

    mark: str
    """Names the stages that it comes from; an entry with another mark at the same round is another result."""
    timestamp: int
    metrics: Mapping[str, float]


def marked(*stages: str) -> str:
    """The mark of an entry that comes from these stages: of a single one, its key's first digits."""
    return (stages[0] if len(stages) == 1 else hashlib.sha256("".join(stages).encode()).hexdigest())[:MARK_DIGITS]


def merged(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric over those that have it."""
    names = dict.fromkeys(name for metrics in several for name in metrics)
    return {name: statistics.fmean(metrics[name] for metrics in several if name in metrics) for name in names}


def mean(accuracies: Sequence[float], pruned: Sequence[float], *, stages: Collection[str], timestamp: int) -> Entry:
    """Mean, std (ddof = 1), 95 % t interval of the mean and n; a diverged seed counts with the accuracy it ended at.

    `accuracies`: at least one, in [0, 1]. One seed alone has neither std nor interval.
    """
    centre, n = statistics.fmean(accuracies), len(accuracies)
    spread: dict[str, float] = {"n": n}
    if n > 1:
        std = statistics.stdev(accuracies)
        reach = _quantile(n - 1) * std / math.sqrt(n)
        spread |= {"std": std, "low": centre - reach, "high": centre + reach}
    metrics = {
        ACCURACY: centre,
        **{f"{ACCURACY}_{name}": value for name, value in spread.items()},
        PRUNED: statistics.fmean(pruned),
    }
    # Metrics that are new are other results: a parent of an older version is made anew.
    named = "".join([*sorted(stages), *sorted(metrics)])
    return Entry(hashlib.sha256(named.encode()).hexdigest()[:MARK_DIGITS], timestamp, metrics)


@cache
def _quantile(degrees: int) -> float:
    # Imported late: knowing that MLflow has everything already must stay fast.
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))
