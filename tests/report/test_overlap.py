"""What masks have in common, against counting weight by weight and against scipy.stats.hypergeom."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from pipeline.lottery.tensor_files import load_mask, save_mask, save_weights, to_bytes
from pipeline.report.analysis.packed_masks import Mask, packed_mask, survivors_of
from pipeline.report.sections.overlap import TYPES, chance_range, overlap

shapes = some.lists(some.integers(0, 5), min_size=0, max_size=3).map(tuple)


def drawn(seed: int, keep: float = 0.3, **layers: tuple[int, ...]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(shape, generator=generator) < keep for name, shape in layers.items()}


def mask_of(*layers: Any) -> Mask:
    """Layers a, b, ... given as 0 and 1."""
    bits = {chr(97 + number): np.array(layer, dtype=bool) for number, layer in enumerate(layers)}
    return Mask({name: np.packbits(layer) for name, layer in bits.items()}, {n: b.shape for n, b in bits.items()})


def points(*named: Any) -> pd.DataFrame:
    """(source, round, seed, mask key); None is a point without a mask."""
    return pd.DataFrame(named, columns=["source", "round", "seed", "mask"]).astype({"mask": "string"})


@settings(deadline=None)
@given(some.lists(shapes, min_size=1, max_size=4), some.integers(0, 10**6))
def test_packed_masks_have_the_layers_shapes_and_counts_of_the_unpacked(sizes: Any, seed: int) -> None:
    mask = drawn(seed, 0.5, **{f"layer{number}": shape for number, shape in enumerate(sizes)})
    data = save_mask(mask)
    packed, loaded = packed_mask(data), load_mask(data)
    assert packed.shapes == {name: tuple(kept.shape) for name, kept in loaded.items()}
    assert list(packed.shapes) == list(mask)
    for name, kept in loaded.items():
        assert survivors_of(packed.bits[name]) == int(kept.sum())
        unpacked = np.unpackbits(packed.bits[name], count=kept.numel()).reshape(kept.shape)
        np.testing.assert_array_equal(unpacked.astype(bool), kept.numpy())


def test_bits_of_the_padding_are_not_counted() -> None:
    """Five weights in a byte whose last three bits a foreign writer has set."""
    about = {"layers": [["a", [5], 2]]}
    data = to_bytes("mask", {"a": torch.tensor([0b10100111], dtype=torch.uint8)}, about)
    assert packed_mask(data).bits["a"].tolist() == [0b10100000]


@pytest.mark.parametrize(
    "data",
    [
        b"nothing",
        save_weights({"a": torch.ones(3)}),
        save_mask(drawn(0, a=(40,)))[:-1],
        to_bytes("mask", {"a": torch.tensor([0b10100000], dtype=torch.uint8)}, {"layers": [["a", [5], 3]]}),
        to_bytes("mask", {"a": torch.tensor([0b10100000], dtype=torch.uint8)}, {"layers": [["a", [9], 2]]}),
        to_bytes("mask", {"a": torch.ones(1)}, {"layers": [["a", [5], 1]]}),
        to_bytes("mask", {"a": torch.tensor([0b10100000], dtype=torch.uint8)}, {"layers": []}),
        to_bytes("mask", {}, {"layers": "none"}),
    ],
)
def test_what_is_no_whole_mask_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"[Mm]ask"):
        packed_mask(data)


FIRST = mask_of([1, 1, 1, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
OTHER = mask_of([1, 1, 0, 0, 0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])


def compared(first: Mask, other: Mask) -> pd.Series:
    table = overlap(points(("x", 1, 0, "m"), ("y", 1, 0, "o")), {"m": first, "o": other}.get)
    assert len(table) == 1
    return table.iloc[0]


def test_two_masks_by_hand() -> None:
    """5 and 4 of 30 weights survive, 3 in common: 3 / 4. Permuted over all: 5 * 4 / 30 in common, 5 / 30 of the
    smaller. By layer: 3 * 3 / 10 + 2 * 1 / 20 = 1 in common, 1 / 4."""
    row = compared(FIRST, OTHER)
    assert (row["survivors"], row["other_survivors"], row["total"], row["common"]) == (5, 4, 30, 3)
    assert row["overlap"] == 0.75
    assert row["chance"] == pytest.approx(5 / 30)
    assert row["chance_by_layer"] == pytest.approx(0.25)
    low, high = stats.hypergeom.interval(0.95, 30, 5, 4)
    assert (row["chance_low"], row["chance_high"]) == (low / 4, high / 4)


def test_an_empty_mask_overlaps_with_nothing_and_says_no_number() -> None:
    row = compared(FIRST, mask_of([0] * 10, [0] * 20))
    assert (row["survivors"], row["other_survivors"], row["common"]) == (5, 0, 0)
    assert row[["overlap", "chance", "chance_low", "chance_high", "chance_by_layer"]].isna().all()


def test_a_mask_and_itself_overlap_wholly() -> None:
    row = compared(FIRST, FIRST)
    assert (row["overlap"], row["common"]) == (1, 5)


def test_masks_of_other_shapes_or_layers_are_left_out() -> None:
    kinds = {"m": FIRST, "o": mask_of([1] * 10), "p": mask_of([1] * 20, [1] * 10)}
    table = overlap(points(("x", 1, 0, "m"), ("y", 1, 0, "o"), ("z", 1, 0, "p")), kinds.get)
    assert table.empty
    assert list(table.columns) == list(TYPES)


@settings(max_examples=25, deadline=None)
@given(some.integers(0, 10**6), some.floats(0.05, 0.9), some.floats(0.05, 0.9))
def test_random_masks_overlap_by_chance(seed: int, keep: Any, keep_other: Any) -> None:
    """Six standard deviations around the expectation."""
    layers = {"a": (60, 50), "b": (17, 31)}
    masks = [drawn(seed + number, share, **layers) for number, share in enumerate((keep, keep_other))]
    first, other = (packed_mask(save_mask(mask)) for mask in masks)
    row = compared(first, other)
    assert row["common"] == sum(int((masks[0][name] & masks[1][name]).sum()) for name in layers)
    a, b, total = row["survivors"], row["other_survivors"], row["total"]
    spread = math.sqrt(a * b / total * (1 - a / total) * (1 - b / total)) / min(a, b)
    assert abs(row["overlap"] - row["chance"]) < 6 * spread
    assert abs(row["overlap"] - row["chance_by_layer"]) < 6 * spread
    assert row["chance_low"] <= row["chance"] <= row["chance_high"]


@pytest.mark.parametrize("total", [1, 7, 1000, 266_200, 25_000_000])
@pytest.mark.parametrize("share", [0.0012, 0.0168, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("ratio", [1.0, 0.8, 0.01])
def test_the_range_of_chance_is_scipys(total: int, share: float, ratio: Any) -> None:
    survivors = max(1, round(total * share))
    others = max(1, round(survivors * ratio))
    assert chance_range(survivors, others, total) == stats.hypergeom.interval(0.95, total, survivors, others)


@settings(deadline=None)
@given(some.integers(1, 3000).flatmap(lambda n: some.tuples(some.just(n), some.integers(1, n), some.integers(1, n))))
def test_the_range_of_chance_is_scipys_for_any_size(sizes: Any) -> None:
    total, survivors, others = sizes
    found = chance_range(survivors, others, total)
    counts = np.arange(min(survivors, others) + 1)
    cumulative = stats.hypergeom.cdf(counts, total, survivors, others)
    # where a cumulative probability is a bound but for rounding, either neighbour is right
    if np.abs(cumulative[:, None] - [0.025, 0.975]).min() > 1e-9:
        assert found == stats.hypergeom.interval(0.95, total, survivors, others)


RESULTS = points(
    *[("x", 0, 0, None), ("y", 0, 0, None)],
    *[("x", 1, 0, "x1"), ("y", 1, 0, "y1"), ("z", 1, 0, "z1")],
    *[("x", 3, 0, "x3"), ("y", 3, 0, "y3")],
    *[("x", 4, 0, "x4"), ("z", 4, 0, "z4")],
    *[("x", 1, 1, "x1b"), ("y", 1, 1, "y1b")],
    *[("x", 1, 0, "x1"), ("any", 1, 0, None)],
)


def random_masks(keys: Any) -> dict[str, Mask]:
    return {key: packed_mask(save_mask(drawn(number, a=(9, 9)))) for number, key in enumerate(keys)}


MASKS = random_masks(RESULTS["mask"].dropna().unique())


def test_masks_are_compared_between_sources_at_a_round_and_with_the_evaluated_round_before() -> None:
    table = overlap(RESULTS, MASKS.get)
    pairs = set(table[["kind", "mask", "other_mask"]].itertuples(index=False, name=None))
    assert pairs == {
        *[("sources", "x1", "y1"), ("sources", "x1", "z1"), ("sources", "y1", "z1"), ("sources", "x3", "y3")],
        *[("sources", "x4", "z4"), ("sources", "x1b", "y1b")],
        *[("rounds", "x3", "x1"), ("rounds", "y3", "y1"), ("rounds", "x4", "x3"), ("rounds", "z4", "z1")],
    }
    assert len(table) == len(pairs)
    row = table[table["mask"] == "z4"].iloc[0]
    assert (row["source"], row["other_source"], row["round"], row["other_round"], row["seed"]) == ("z", "z", 4, 1, 0)


def test_a_mask_that_is_not_there_yet_is_left_out() -> None:
    table = overlap(RESULTS, lambda key: None if key == "x1" else MASKS[key])
    assert not ((table["mask"] == "x1") | (table["other_mask"] == "x1")).any()
    assert len(table) == 7


def test_every_mask_is_read_once() -> None:
    reads: Counter[str] = Counter()

    def read(key: str) -> Any:
        reads[key] += 1
        return MASKS[key]

    overlap(RESULTS, read)
    assert reads == dict.fromkeys(MASKS, 1)


def never(key: str) -> Mask | None:
    raise AssertionError(f"{key} was read")


def test_what_an_earlier_table_has_is_not_read_again() -> None:
    earlier = overlap(RESULTS, MASKS.get)
    pd.testing.assert_frame_equal(overlap(RESULTS, never, earlier), earlier)
    some_of_it = earlier[earlier["kind"] == "rounds"]
    reads = []

    def read(key: str) -> Mask | None:
        reads.append(key)
        return MASKS[key]

    again = overlap(RESULTS, read, some_of_it)
    pd.testing.assert_frame_equal(again, earlier)
    assert {"x4", "z4"} <= set(reads)
    assert overlap(RESULTS, MASKS.get, pd.DataFrame({"other": [1]})).equals(earlier)


def test_an_earlier_table_of_sources_in_the_other_order_is_used_as_well() -> None:
    earlier = overlap(RESULTS, MASKS.get)
    turned = overlap(RESULTS.drop_duplicates()[::-1], never, earlier)
    row = turned[(turned["mask"] == "y1") & (turned["other_mask"] == "x1")].iloc[0]
    other = earlier[(earlier["mask"] == "x1") & (earlier["other_mask"] == "y1")].iloc[0]
    assert (row["survivors"], row["other_survivors"]) == (other["other_survivors"], other["survivors"])
    assert row["overlap"] == other["overlap"]


def test_no_more_than_two_rounds_are_held() -> None:
    """Masks that are dropped are gone: what is still referred to is counted at each reading."""
    import gc
    import weakref

    held: list[weakref.ref[Any]] = []
    most = 0
    sources, rounds = "xyz", range(1, 7)
    table = points(
        *[
            (source, number, seed, f"{source}{number}{seed}")
            for seed in range(2)
            for source in sources
            for number in rounds
        ]
    )

    class Weighed(dict[str, Any]):
        """The bits, in something that can be referred to weakly."""

    gc.collect()
    gc.freeze()  # what the tests before hold takes a second to walk through

    def read(key: str) -> Any:
        nonlocal most
        gc.collect()
        most = max(most, 1 + sum(ref() is not None for ref in held))
        bits = Weighed(a=np.packbits(np.ones(8, dtype=bool)))
        held.append(weakref.ref(bits))
        return Mask(bits, {"a": (8,)})

    try:
        overlap(table, read)
    finally:
        gc.unfreeze()
    assert len(held) == 36
    assert most <= 2 * len(sources)
