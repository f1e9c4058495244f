"""The masks at which distributions inside tickets are drawn: of each source, at the levels that the grid asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.report.analysis.levels import level_of, nearest_levels
from pipeline.report.findings import Computed, Findings
from pipeline.report.rows import evenly
from pipeline.report.wording import listed

if TYPE_CHECKING:
    from pipeline.experiment.spec import Spec

MOST = 4
"""Levels that are drawn where the grid names none."""
BYTES = 1 << 30
"""Of starting weights, and of masks, that are read; sources beyond that are left out."""
WHOLE = 1.0
"""The level of the network before any pruning: all weights, no mask."""


@dataclass(frozen=True, slots=True)
class LevelMasks:
    """A source's masks at one level (weights remaining, in [0, 1])."""

    source: str
    level: float
    round: int
    masks: Mapping[int, str | None]
    """By seed the key of the pruning that made it; None for the whole network."""


def masks_by_level(results: pd.DataFrame, spec: Spec) -> list[LevelMasks]:
    """Masks of each source's chain at the levels drawn, sources in the grid's order, the least pruned level first.

    Of several rounds at one level the first. A source none of whose masks is evaluated has none, nor a whole network.
    """
    chains = results.assign(level=level_of(results))[results["mask"].notna() & (results["survivors"] > 0)]
    chains = chains.drop_duplicates(["source", "round", "seed"]).sort_values("round", kind="stable")
    return [
        one for source in spec.sources for one in _of_source(source.name, chains[chains["source"] == source.name], spec)
    ]


def _of_source(source: str, chain: pd.DataFrame, spec: Spec) -> Iterator[LevelMasks]:
    if chain.empty:
        return
    for level in levels_drawn(chain["level"].tolist(), spec.analysis.levels):
        if level == WHOLE:
            yield LevelMasks(source, level, 0, dict.fromkeys(spec.seeds))
            continue
        rows = chain[chain["level"] == level]
        first = int(rows["round"].min())
        rows = rows[rows["round"] == first]
        yield LevelMasks(
            source, level, first, {int(seed): str(key) for seed, key in zip(rows["seed"], rows["mask"], strict=True)}
        )


def levels_drawn(evaluated: Collection[float], asked: Collection[float] | None) -> list[float]:
    """Levels to draw, descending. `evaluated`: those of pruned tickets; the whole network's, 1, is always there.

    `asked`: to each the nearest evaluated one (`nearest_levels`), and 1 for 1. None: up to four,
    spread evenly by rank, the whole network and the most pruned ticket among them.
    """
    pruned = sorted({level for level in evaluated if level > 0}, reverse=True)
    if asked is None:
        return evenly([WHOLE, *(level for level in pruned if level < WHOLE)], MOST)
    nearest = nearest_levels(asked, pruned)
    return sorted({WHOLE if level == WHOLE else nearest.get(level, WHOLE) for level in asked}, reverse=True)


LEVEL_MASKS = Computed("drawn masks", lambda findings: masks_by_level(findings.results, findings.spec))

OutputNames = set[tuple[str, str]]
"""(stage, output) of files of the store."""


def affordable(findings: Findings, needed: Callable[[LevelMasks], OutputNames], what: str) -> list[LevelMasks]:
    """Those of the first sources, as many as BYTES are enough for; a note names the others. None that need nothing."""
    drawn, kept = findings.of(LEVEL_MASKS), list[LevelMasks]()
    left, out = BYTES, list[str]()
    for source in dict.fromkeys(one.source for one in drawn):
        of_source = [one for one in drawn if one.source == source]
        outputs = OutputNames().union(*map(needed, of_source))
        size = sum(findings.read.size(*output) for output in outputs)
        if size > left:
            out.append(source)
        elif outputs:
            left -= size
            kept += of_source
    if out:
        note = f"{what}: not of {listed(out)}, which would be more than {BYTES >> 30} GiB to read."
        findings.read.omissions.append(note)
    return kept
