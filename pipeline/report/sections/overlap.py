"""What masks have in common, beside what masks of their sizes have in common by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations
from math import nan, prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.report.analysis.comparisons import LEVEL
from pipeline.report.analysis.levels import level_of
from pipeline.report.analysis.packed_masks import Mask, survivors_of
from pipeline.report.charts.chart import Axis, Chart, Series, ends, numbers, percent
from pipeline.report.charts.lines import LEFT, look_of
from pipeline.report.charts.palette import Line
from pipeline.report.findings import Findings, Table
from pipeline.report.rows import columns, table_of
from pipeline.report.sections.section import Fragment, Section
from pipeline.report.stills.panels import panels_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WITHIN = 0.95
"""Share of masks permuted at random whose overlap is within `chance_low` and `chance_high`."""
SPREAD, MARGIN = 8, 40
"""Standard deviations around the mean, and counts beyond them, over which probabilities are summed: all but 1e-12."""
MASKS = ["mask", "other_mask"]
NUMBERS = ["survivors", "other_survivors", "total", "common"]
NUMBERS += ["overlap", "chance", "chance_low", "chance_high", "chance_by_layer"]
TYPES = columns(
    "kind, source, other_source: string; round, other_round, seed, survivors, other_survivors, total, common: int64; "
    "overlap, chance, chance_low, chance_high, chance_by_layer: float64; mask, other_mask: string"
)

_Numbers = tuple[Any, ...]


def overlap(
    results: pd.DataFrame, read_mask: Callable[[str], Mask | None], known: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row for each pair of masks of equal seed: of two sources at one round, and of a source at successive rounds.

    `kind`: `sources`, or `rounds` (`other_round` is the evaluated round before `round`). `survivors`, `other_survivors`
    and `common` are counts of weights, `total` the prunable ones; `overlap` is common / the smaller of the two, in
    [0, 1]. `chance`: its expectation if one of the masks were permuted over the whole network, `chance_low` and
    `chance_high` the 95 % range of that (hypergeometric); `chance_by_layer`: its expectation if permuted within each
    layer. NaN where a mask is empty. `mask` and `other_mask` are the stages' keys.

    Masks come from `read_mask`, which is given a stage's key; None is a mask that is not there (yet). Two masks are
    compared only if they have the same layers of the same shapes. `known`: an earlier table; pairs in it are not read
    again. Masks of at most two rounds of one seed are held at a time.
    """
    columns = ["seed", "round", "source", "mask"]
    chains = results[results["mask"].notna()].drop_duplicates(["source", "round", "seed"])[columns]
    numbers = _known(known)
    rows: list[list[Any]] = []
    for seed, of_seed in chains.groupby("seed", sort=True):
        read = _Reading(read_mask)
        before: dict[str, _Place] = {}
        for _, of_round in of_seed.groupby("round", sort=True):
            here = [_Place(*values) for values in of_round[["source", "round", "mask"]].itertuples(index=False)]
            pairs = [("sources", first, second) for first, second in combinations(here, 2)]
            pairs += [("rounds", place, before[place.source]) for place in here if place.source in before]
            for kind, first, second in pairs:
                found = numbers.get((first.mask, second.mask)) or _compared(read(first.mask), read(second.mask))
                if found is not None:
                    names = [first.source, second.source, first.round, second.round, seed]
                    rows.append([kind, *names, *found, first.mask, second.mask])
            before |= {place.source: place for place in here}
            read.keep({place.mask for place in before.values()})
    return table_of(rows, TYPES)


class _Place(NamedTuple):
    source: str
    round: int
    mask: str


class _Reading:
    """Masks by stage key, each read once while it is kept."""

    def __init__(self, read_mask: Callable[[str], Mask | None]) -> None:
        self._read = read_mask
        self._held: dict[str, Mask | None] = {}

    def __call__(self, key: str) -> Mask | None:
        if key not in self._held:
            self._held[key] = self._read(key)
        return self._held[key]

    def keep(self, keys: set[str]) -> None:
        """Drop all others."""
        self._held = {key: mask for key, mask in self._held.items() if key in keys}


def _known(table: pd.DataFrame | None) -> dict[tuple[str, str], _Numbers]:
    if table is None or list(table.columns) != list(TYPES):
        return {}
    found: dict[tuple[str, str], _Numbers] = {}
    for mask, other, *values in table[[*MASKS, *NUMBERS]].itertuples(index=False):
        found[mask, other] = tuple(values)
        found[other, mask] = (values[1], values[0], *values[2:])
    return found


def _compared(mask: Mask | None, other: Mask | None) -> _Numbers | None:
    """The columns NUMBERS of two masks; None where one is not there, or they are of different shapes."""
    if mask is None or other is None or mask.shapes != other.shapes:
        return None
    sizes = {name: prod(shape) for name, shape in mask.shapes.items()}
    kept = {name: survivors_of(bits) for name, bits in mask.bits.items()}
    of_other = {name: survivors_of(bits) for name, bits in other.bits.items()}
    common = sum(survivors_of(bits & other.bits[name]) for name, bits in mask.bits.items())
    survivors, others, total = sum(kept.values()), sum(of_other.values()), sum(sizes.values())
    counts = survivors, others, total, common
    smaller = min(survivors, others)
    if not smaller:
        return *counts, nan, nan, nan, nan, nan
    by_layer = sum(kept[name] * of_other[name] / size for name, size in sizes.items() if size)
    low, high = chance_range(survivors, others, total)
    expected = max(survivors, others) / total
    return *counts, common / smaller, expected, low / smaller, high / smaller, by_layer / smaller


@cache
def chance_range(survivors: int, others: int, total: int) -> tuple[int, int]:
    """The 95 % range of how many weights two masks of these sizes have in common if one is permuted at random.

    As scipy.stats.hypergeom.interval: the smallest counts whose cumulative probability is 0.025 and 0.975 or more.
    scipy.special has no such quantile: the probabilities around the mean are summed.
    """
    least, most = max(0, survivors + others - total), min(survivors, others)
    mean = survivors * others / total
    variance = mean * (1 - survivors / total) * (total - others) / max(total - 1, 1)
    reach = SPREAD * variance**0.5 + MARGIN
    counts = np.arange(max(least, int(mean - reach)), min(most, int(mean + reach) + 1) + 1)
    k = counts[:-1].astype("float64")
    steps = np.log(survivors - k) + np.log(others - k) - np.log(k + 1) - np.log(total - survivors - others + k + 1)
    logarithm = np.concatenate([[0.0], np.cumsum(steps)])
    cumulative = np.cumsum(np.exp(logarithm - logarithm.max()))
    low, high = np.searchsorted(cumulative / cumulative[-1], [(1 - WITHIN) / 2, (1 + WITHIN) / 2])
    return int(counts[low]), int(counts[high])


COMMON = Axis("weights in common (%)", unit="%")
LEFT_IN_SMALLER = Axis("weights remaining in the smaller mask (%)", "left", "%")
ALIKE = 0.005
"""Masks whose sizes differ by less than this share have the same overlap by chance."""
PAIRS_IN_ONE = 6
"""Pairs of sources that share a panel; of more, each source has a panel of its own."""
FIELDS = ("round", "n", "chance (%)", "chance within layers (%)")
MEANS = ["overlap", "chance", "chance_low", "chance_high", "chance_by_layer"]
MASK_BYTES = 4 << 30
"""Of masks that are all compared; of more of them, those of one level."""


def overlap_charts(findings: Findings) -> list[Chart]:
    """Overlap between sources at equal round and seed, against weights remaining."""
    rows = findings.of(OVERLAP)
    means = _means(rows[rows["kind"] == "sources"])
    pairs = means[["source", "other_source"]].drop_duplicates()
    if means.empty:
        return []
    if len(pairs) <= PAIRS_IN_ONE:
        return [_panel("overlap-0", "between sources", means, {})]
    turned = means.rename(columns={"source": "other_source", "other_source": "source"})
    both = pd.concat([means, turned], ignore_index=True)
    looks = {line.source: line for line in look_of(findings).values() if line.winning and line.dash == 0}
    return [
        _panel(f"overlap-{number}", f"source: {source}", both[both["source"] == source], looks)
        for number, source in enumerate(looks)
        if (both["source"] == source).any()
    ]


def between_rounds(findings: Findings) -> list[Chart] | str:
    """Overlap of each source's masks with those of the evaluated round before, or a sentence where all are nested."""
    rows = findings.of(OVERLAP)
    rows = rows[rows["kind"] == "rounds"]
    if rows.empty:
        return "No two rounds of one source have masks that could be compared."
    if (rows["overlap"] == 1).all():
        methods = {source.prune.method for source in findings.spec.sources}
        reason = f", as {methods.pop()} pruning has it" if len(methods) == 1 else ""
        return (
            f"Between rounds: each of {len(rows)} masks lies within the mask of the evaluated round before it "
            f"(100 % in common){reason}."
        )
    means = _means(rows.assign(other_source=""))
    looks = {line.source: line for line in look_of(findings).values() if line.winning and line.dash == 0}
    return [_panel("overlap-rounds", "between a round and the evaluated round before it", means, looks, other=False)]


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, all weights first. `left` and `more_left`: of the smaller mask and of the larger, in [0, 1]."""
    sizes = rows[["survivors", "other_survivors"]]
    rows = rows.assign(left=sizes.min(axis=1) / rows["total"], more_left=sizes.max(axis=1) / rows["total"])
    columns = {name: (name, "mean") for name in ["left", "more_left", *MEANS]}
    by = ["source", "other_source", "round"]
    means = rows.groupby(by, as_index=False, sort=False).agg(std=("overlap", "std"), n=("overlap", "count"), **columns)
    return means[means["left"] > 0].sort_values("left", ascending=False, kind="stable")


def _panel(name: str, title: str, means: pd.DataFrame, looks: dict[str, Line], other: bool = True) -> Chart:
    pairs = []
    for number, ((source, against), rows) in enumerate(means.groupby(["source", "other_source"], sort=False)):
        look = looks.get(str(against if other else source))
        label = (f"with {against}" if looks else f"{source} and {against}") if other else str(source)
        more = [rows["round"].tolist(), rows["n"].tolist(), percent(rows["chance"]), percent(rows["chance_by_layer"])]
        line = look or Line(str(source), "", label, number, 0, False, True)
        left, std = numbers(100 * rows["left"]), percent(rows["std"])
        pairs.append((Series(label, left, percent(rows["overlap"]), line, spread=std, more=more), rows))
    series = [one for one, _ in pairs]
    equal = (means["more_left"] <= means["left"] * (1 + ALIKE)).all()
    text = f"Weights that two masks of equal seed have in common, {title}; pruned the most: {ends(series, ' %')}."
    axis = LEFT if equal or not other else LEFT_IN_SMALLER
    return Chart(name, title, text, axis, COMMON, [*series, *_chances(pairs)], FIELDS)


def _chances(pairs: Sequence[tuple[Series, pd.DataFrame]]) -> list[Series]:
    """What chance gives, once for all pairs whose masks are of equal sizes: means over these.

    Of pairs that differ, the lines have the colour and the name of the first one of each size.
    """
    groups: list[list[tuple[Series, pd.DataFrame]]] = []
    sizes: list[_Sizes] = []
    for one, rows in pairs:
        of_pair = dict(zip(rows["round"], zip(rows["left"], rows["more_left"], strict=True), strict=True))
        place = next((at for at, others in enumerate(sizes) if _alike(of_pair, others)), len(groups))
        if place == len(groups):
            groups.append([])
            sizes.append({})
        groups[place].append((one, rows))
        sizes[place] = of_pair | sizes[place]
    return [line for group in groups for line in _chance(group, alone=len(groups) == 1)]


_Sizes = dict[int, tuple[float, float]]
"""By round the smaller mask's and the larger one's weights, in [0, 1]."""


def _alike(sizes: _Sizes, others: _Sizes) -> bool:
    shared = sizes.keys() & others.keys()
    return bool(shared) and all(
        abs(one - other) <= ALIKE * other
        for number in shared
        for one, other in zip(sizes[number], others[number], strict=True)
    )


def _chance(group: Sequence[tuple[Series, pd.DataFrame]], alone: bool) -> list[Series]:
    """What masks permuted over all weights, and within layers, would have in common; the range is that of one pair."""
    by_round = pd.concat([rows for _, rows in group]).groupby("round", sort=False)[["left", *MEANS]].mean()
    by_round = by_round.sort_values("left", ascending=False)
    first = group[0][0]
    like_it = f" and {len(group) - 1} more" if len(group) > 1 else ""
    of_whom, line = ("", None) if alone else (f": {first.name}{like_it}", first.line)
    left = numbers(100 * by_round["left"])
    everywhere = Series(f"chance, over all layers{of_whom}", left, percent(by_round["chance"]), line, role="chance")
    everywhere.low, everywhere.high = percent(by_round["chance_low"]), percent(by_round["chance_high"])
    within = Series(f"chance, within layers{of_whom}", left, percent(by_round["chance_by_layer"]), line, role="chance")
    within.place = 1.0
    return [everywhere, within]


def _with_masks(findings: Findings) -> pd.DataFrame:
    """Results whose masks are compared."""
    results, level = findings.results, findings.of(LEVEL)
    size = sum(findings.read.size(key, "mask") for key in results["mask"].dropna().drop_duplicates())
    if size <= MASK_BYTES or level is None:
        return results
    findings.read.omissions.append(
        f"Masks are compared at {level:.3%} of the weights remaining only: all of them are {size / 2**30:.0f} GiB."
    )
    return results[level_of(results) == level]


def _table(findings: Findings) -> pd.DataFrame:
    return overlap(_with_masks(findings), findings.read.mask, findings.read.before(OVERLAP))


OVERLAP = Table("overlap", _table, reads_store=True)


def _every(findings: Findings) -> tuple[list[Chart], str]:
    """All charts, and what is said instead of one between rounds."""
    rounds = between_rounds(findings)
    charts = overlap_charts(findings)
    return (charts, rounds) if isinstance(rounds, str) else (charts + rounds, "")


def _page(findings: Findings) -> Fragment:
    charts, nested = _every(findings)
    return Fragment({"overlap": charts, "nested": nested}, charts)


def overlap_figure(findings: Findings) -> Figure | None:
    """What masks have in common, beside chance."""
    return panels_figure(_every(findings)[0], f"{findings.name}: weights in common, mean ±1 std over seeds")


SECTION = Section(
    "overlap", "Overlap", "Overlap of masks", _page, computed=(OVERLAP,), stills={"overlap": overlap_figure}
)
