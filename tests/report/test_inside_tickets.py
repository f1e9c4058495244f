"""What is inside tickets: starting weights of surviving connections and connectivity by unit, counted another way."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import imread

from pipeline.engine.driver import RunOptions, run
from pipeline.engine.store import Store
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.lottery.tensor_files import load_mask, load_weights, save_mask, save_weights
from pipeline.report.analysis import level_masks
from pipeline.report.analysis.level_masks import LevelMasks, levels_drawn
from pipeline.report.analysis.packed_masks import packed_mask
from pipeline.report.findings import Findings
from pipeline.report.report import gather
from pipeline.report.sections.connectivity import connectivity, connectivity_charts, countable, is_chain, sorted_counts
from pipeline.report.sections.initial import BINS, initial_weight_charts, initial_weights, starting_weights
from pipeline.report.stills import figures

GRID = """
name: inside
model: lenet-20-10
seeds: [0, 1]
training: {{optimizer: {{name: sgd, lr: 0.1}}, batch_size: 64, length: 30it}}
prune: {{rate: 0.5, rounds: 3, scope: layerwise, prune_output: true, rewind: {rewind}}}
retention: {{initialization: {kept}}}
sources: [{{name: a, dataset: {{name: digits, half: a}}}}, {{name: b, dataset: {{name: digits, half: b}}}}]
targets: same
tickets: [winning]
analysis: {{levels: [1.0, 0.25]}}
"""
LAYERS = ["fc1.weight", "fc2.weight", "head.weight"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, unheard: Any) -> Callable[..., Any]:
    """`ran(rewind, kept)`: (grid, store) of a small experiment that has run. Do not change."""
    store = Store(str(tmp_path_factory.mktemp("store")))

    @cache
    def run_it(rewind: str = "0it", kept: str = "true") -> Any:
        file = tmp_path_factory.mktemp("grid") / "grid.yaml"
        file.write_text(GRID.format(rewind=rewind, kept=kept))
        grid = expand(load(file))
        run(grid, RunOptions(store.uri, Path("data"), local=True), unheard)
        return grid, store

    return run_it


def gathered(grid: Grid, store: Any) -> Any:
    return gather(grid, store, store.snapshot())


def masks_of(grid: Grid, store: Any, source: str, number: int) -> dict[int, dict[str, torch.Tensor]]:
    points = [point for point in grid.points if point.source == source and point.round == number]
    return {point.seed: load_mask(store.read(point.mask, "mask")) for point in points}


@pytest.mark.parametrize("rewind", ["0it", "10it"])
def test_the_histograms_count_the_weights_that_survive_of_those_that_tickets_start_from(ran: Any, rewind: Any) -> None:
    grid, store = ran(rewind)
    table = gathered(grid, store).computed["initial_weights"]
    assert set(table["source"]) == {"a", "b"} and set(table["level"]) == {1.0, 0.25} and set(table["n"]) == {2}
    output = {"0it": "it0", "10it": "it10"}[rewind]
    masks = masks_of(grid, store, "b", 2)
    starts = {seed: load_weights(store.read(grid.starts["b", seed].stage, output)) for seed in masks}
    for layer in LAYERS:
        rows = table[(table["source"] == "b") & (table["level"] == 0.25) & (table["layer"] == layer)]
        kept = torch.cat([start[layer][masks[seed][layer]] for seed, start in starts.items()]).double()
        assert rows["count"].sum() == len(kept) == 2 * masks[0][layer].sum()
        for row in rows.itertuples():
            last = row.high == rows["high"].max()
            inside = (kept >= row.low) & ((kept <= row.high) if last else (kept < row.high))
            assert row.count == int(inside.sum())


def test_bins_are_the_same_in_all_layers_and_levels_and_span_the_whole_networks_weights(ran: Any) -> None:
    grid, store = ran()
    table = gathered(grid, store).computed["initial_weights"]
    rows = table[table["source"] == "a"]
    bins = rows.groupby(["level", "layer"])[["low", "high"]].agg(tuple)
    assert len(bins) == 6 and len(bins["low"].iloc[0]) == BINS and (bins.nunique() == 1).all()
    starts = [load_weights(store.read(grid.starts["a", seed].stage, "it0")) for seed in (0, 1)]
    weights = torch.cat([start[layer].flatten() for start in starts for layer in LAYERS])
    assert (rows["low"].min(), rows["high"].max()) == pytest.approx((weights.min().item(), weights.max().item()))
    assert rows.loc[rows["level"] == 1, "count"].sum() == len(weights)


def test_starting_weights_that_are_not_kept_are_not_drawn_and_the_page_says_how_to_keep_them(
    ran: Any, opened: Any
) -> None:
    grid, store = ran(kept="false")
    findings = gathered(grid, store)
    assert findings.computed["initial_weights"].empty
    assert not findings.computed["connectivity"].empty
    text = opened(findings).page.inner_text("#initial")
    assert "Not drawn for a and b: the weights that tickets start from are not kept" in text


def test_tickets_that_are_trained_on_have_no_starting_weights_of_their_chain(ran: Any) -> None:
    grid, store = ran("none")
    assert gathered(grid, store).computed["initial_weights"].empty


def test_connections_are_those_on_a_path_to_an_output(ran: Any) -> None:
    """Counted edge by edge: an edge counts if the unit it ends at reaches an output."""
    grid, store = ran()
    table = gathered(grid, store).computed["connectivity"]
    expected: dict[str, list[Any]] = {layer: [] for layer in LAYERS}
    for mask in masks_of(grid, store, "a", 2).values():
        reaches = {(2, unit) for unit in range(10)}
        for place in (2, 1, 0):
            edges = [(to, of) for to, of in mask[LAYERS[place]].nonzero().tolist() if (place, to) in reaches]
            reaches |= {(place - 1, of) for _, of in edges}
            units = mask[LAYERS[place]].shape[0]
            expected[LAYERS[place]].append(
                sorted((sum(to == u for to, _ in edges) for u in range(units)), reverse=True)
            )
    for layer, of_seeds in expected.items():
        rows = table[(table["source"] == "a") & (table["level"] == 0.25) & (table["layer"] == layer)]
        assert list(rows["rank"]) == list(range(1, len(rows) + 1))
        assert list(rows["connected"]) == pytest.approx(np.mean(of_seeds, axis=0))
        assert rows["to_output"].all() and set(rows["n"]) == {2}
    whole = table[table["level"] == 1]
    assert (whole["connected"] == whole["units_before"]).all()


EDGES = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1]], dtype=bool)
"""Of three units, with 2, 1 and 2 units before them."""
ON = np.array([[0, 1, 0], [0, 1, 0]], dtype=bool)
"""Two outputs that read the second of them alone."""


def test_a_unit_that_no_output_reads_keeps_no_edges_unless_the_layers_branch() -> None:
    assert [counts.tolist() for counts in sorted_counts([EDGES, ON], chain=True)] == [[1, 0, 0], [1, 1]]
    assert [counts.tolist() for counts in sorted_counts([EDGES, ON], chain=False)] == [[2, 2, 1], [1, 1]]


def test_every_unit_before_a_dense_output_layer_has_a_path() -> None:
    assert sorted_counts([EDGES], chain=True)[0].tolist() == [2, 2, 1]


def mask_of(**layers: Any) -> bytes:
    return save_mask({f"{name}.weight": torch.tensor(kept) for name, kept in layers.items()})


def test_a_filter_is_connected_with_a_channel_if_any_weight_between_them_survives() -> None:
    kept = torch.zeros(2, 3, 2, 2, dtype=torch.bool)
    kept[0, 0, 1, 1] = kept[0, 2] = True
    drawn = [LevelMasks("s", 0.2, 1, {0: "m"})]
    table = connectivity(drawn, {"m": packed_mask(save_mask({"conv.weight": kept}))}.get)
    assert table["connected"].tolist() == [2, 0]


def test_between_chosen_layers_others_may_lie_so_that_all_edges_count() -> None:
    """Of one layer alone, each unit leads on, whatever is counted."""
    masks = {"m": packed_mask(mask_of(a=[[True, True], [True, True]], b=[[False, True], [False, True]]))}
    drawn = [LevelMasks("s", 0.75, 1, {0: "m"})]
    for chosen, connected in ([], [2, 0, 1, 1]), (["s"], [2, 2, 1, 1]):
        table = connectivity(drawn, masks.get, chosen)
        assert table["connected"].tolist() == connected and set(table["to_output"]) == {not chosen}
    one = {"m": packed_mask(mask_of(a=[[True, False], [True, True]]))}
    assert connectivity(drawn, one.get, ["s"])["to_output"].all()


def test_layers_are_a_chain_where_each_reads_the_one_before() -> None:
    vgg = {"a": (8, 3, 3, 3), "b": (16, 8, 3, 3), "head": (10, 16)}
    assert is_chain(vgg)
    assert not is_chain({**vgg, "down": (16, 8, 1, 1)})
    assert countable(vgg)
    assert not countable({"a": (5001, 3)}) and not countable({str(place): (2, 2) for place in range(21)})


def test_masks_and_weights_that_are_not_there_are_counted_by_n() -> None:
    weights = {"fc.weight": torch.tensor([[-1.0, 0.5], [0.25, 1.0]])}
    start = starting_weights(save_weights(weights), ["fc.weight"])
    masks = {"m": packed_mask(mask_of(fc=[[True, False], [False, True]]))}
    drawn = [LevelMasks("s", 1.0, 0, {0: None, 1: None}), LevelMasks("s", 0.5, 1, {0: "m", 1: "missing"})]
    table = initial_weights(drawn, {"s": ["fc.weight"]}, lambda source, seed: start, masks.get)
    assert table.groupby("level")["n"].max().to_dict() == {0.5: 1, 1.0: 2}
    assert table.groupby("level")["count"].sum().to_dict() == {0.5: 2, 1.0: 8}
    assert connectivity(drawn, masks.get).groupby("level")["n"].max().to_dict() == {0.5: 1, 1.0: 2}


def test_weights_of_other_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="Not the weights of these layers"):
        starting_weights(save_weights({"a": torch.ones(3)}), ["b"])
    with pytest.raises(ValueError, match="damaged"):
        starting_weights(b"nothing", ["b"])


@pytest.mark.parametrize(
    ("asked", "levels"),
    [
        (None, [1.0, 0.35, 0.1, 0.01]),
        ((1.0, 0.3), [1.0, 0.35]),
        ((0.9,), [0.5]),
        ((0.02, 0.009), [0.02, 0.01]),
    ],
)
def test_levels_are_those_asked_for_or_four_that_are_spread_by_rank(asked: Any, levels: Any) -> None:
    assert levels_drawn([0.5, 0.35, 0.2, 0.1, 0.02, 0.01, 0.0], asked) == levels


def test_few_levels_are_all_drawn() -> None:
    assert levels_drawn([0.5], None) == [1.0, 0.5]


def test_a_source_too_large_to_read_is_left_out_with_a_note(ran: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    grid, store = ran()
    snapshot = store.snapshot()
    size = sum(snapshot.record(grid.starts["a", seed].stage)["outputs"]["it0"]["size"] for seed in (0, 1))
    monkeypatch.setattr(level_masks, "BYTES", size)
    findings = gathered(grid, store)
    assert set(findings.computed["initial_weights"]["source"]) == {"a"}
    assert set(findings.computed["connectivity"]["source"]) == {"a", "b"}
    assert any(note.startswith("Initial weights that survive: not of b,") for note in findings.omissions)


def test_densities_have_area_one_and_the_panels_of_a_source_one_range(ran: Any) -> None:
    grid, store = ran()
    for of_source in initial_weight_charts(gathered(grid, store)):
        assert len(of_source) == 2 and len({tuple(one.x) for chart in of_source for one in chart.series}) == 1
        for one in (one for chart in of_source for one in chart.series):
            width = (one.x[-1] - one.x[0]) / (BINS - 1)
            assert sum(filter(None, one.y)) * width == pytest.approx(1, rel=1e-3)


def test_charts_and_stills_show_every_layer_and_level(
    ran: Any, opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, store = ran()
    findings = gathered(grid, store)
    assert [len(of_source) for of_source in connectivity_charts(findings)] == [3, 3]
    one = opened(findings)
    assert one.traces("initial-1-1") == 3
    assert one.traces("connected-0-2") == 2
    assert "Edges without a path to an output are left out" in one.page.inner_text("#connectivity")
    of_inside = {name: figures.drawn()[name] for name in ("initial_weights", "connectivity")}
    monkeypatch.setattr(figures, "drawn", lambda: of_inside)
    names = [file.name for file in figures.write_figures(findings, tmp_path)]
    assert names == [f"{name}.{kind}" for name in of_inside for kind in ("png", "svg")]
    assert all(imread(tmp_path / f"{name}.png").std() > 0.01 for name in of_inside)


def test_a_long_layer_is_drawn_by_a_hundred_of_its_units(findings_of: Callable[..., Findings]) -> None:
    rows = [("set-0", 0.5, 1, "fc.weight", 0, rank, 900.0 - rank, 1000, 2, True) for rank in range(1, 801)]
    findings = findings_of()
    table = pd.DataFrame(rows, columns=findings.computed["connectivity"].columns).astype(
        findings.computed["connectivity"].dtypes
    )
    (chart,) = connectivity_charts(replace(findings, computed=findings.computed | {"connectivity": table}))[0]
    assert len(chart.series[0].x) == 100 and chart.series[0].x[0] == 1 and chart.series[0].x[-1] == 800
