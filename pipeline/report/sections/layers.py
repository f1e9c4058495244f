"""Survivors by layer, and the layerwise ratio of Morcos et al. 2019, Figure 1b."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.experiment.spec import ANY
from pipeline.lottery.counting import count_of
from pipeline.report.charts.chart import Axis, Chart, Series, numbers, percent, spelled
from pipeline.report.charts.lines import look_of
from pipeline.report.charts.palette import Line
from pipeline.report.findings import Findings, Table
from pipeline.report.rows import columns, evenly, table_of
from pipeline.report.sections.section import Fragment, Section, flat
from pipeline.report.stills.panels import PANEL, panels_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipeline.engine.store.records import Records
    from pipeline.experiment.spec import Spec

TYPES = columns(
    "source, ticket: string; round, seed: int64; layer: string; position, survivors, total: int64; fraction_pruned, "
    "ratio: float64"
)


def survivors_by_layer(results: pd.DataFrame, snapshot: Records, spec: Spec) -> pd.DataFrame:
    """One row for each prunable layer of every mask that is there, layers in the model's order (`position` 0, 1, ...).

    Masks are those of the sources' chains, once a (source, round, seed), with the name of the first winning kind as
    `ticket`; and, once a (source, ticket, round, seed), those of controls that move weights from layer to layer. Other
    tickets have as many in each layer as the chain's mask, and are not repeated.

    `fraction_pruned` is the layer's, in [0, 1]; `ratio` that over the fraction pruned of the whole mask: Morcos et al.
    2019, Figure 1b, where the layerwise rate is the overall one. It is NaN where nothing is pruned (round 0).
    """
    winning = spec.winning[:1]
    moving = [ticket.name for ticket in spec.tickets if ticket.mask == "permuted-globally"]
    chains = results[results["mask"].notna()].assign(ticket=(winning or ["winning"])[0], record=results["mask"])
    # round 0 has no mask: its training says which layers there are; so does a control's how its mask was drawn
    dense = results[results["ticket"].isin(winning) & (results["round"] == 0)]
    controls = results[results["ticket"].isin(moving) & (results["round"] > 0)]
    trainings = pd.concat([dense, controls])
    trainings = trainings[trainings["status"].isin(["ok", "diverged"])]
    asked = pd.concat([chains, trainings.assign(record=trainings["stage"])]).sort_index(kind="stable")
    names = ["source", "ticket", "round", "seed"]
    orders = _orders(snapshot, chains["record"])
    own = {source: _order(snapshot, keys) for source, keys in chains.groupby("source", sort=False)["record"]}
    rows: list[list[Any]] = []
    seen: set[tuple[Any, ...]] = set()
    for *name, key in asked[[*names, "record"]].drop_duplicates().itertuples(index=False):
        # the same mask on every target: the first that has a record tells it
        record = None if tuple(name) in seen else snapshot.record(key)
        if record is not None:
            seen.add(tuple(name))
            rows += [[*name, *numbers] for numbers in _layers(record["summary"], own.get(name[0], []), orders)]
    return table_of(rows, TYPES)


LAYERS = Table("layers", lambda findings: survivors_by_layer(findings.results, findings.read.snapshot, findings.spec))

Orders = dict[frozenset[str], list[str]]
"""Names of a model's layers -> the same in the model's order, which the JSON of a summary has lost."""


def _orders(snapshot: Records, masks: pd.Series[str]) -> Orders:
    """Of all models: the pruning of a mask goes through the layers in the model's order."""
    orders: Orders = {}
    for key in masks.drop_duplicates():
        layers = _order(snapshot, [key])
        orders.setdefault(frozenset(layers), layers)
    return orders


def _order(snapshot: Records, masks: Iterable[str]) -> list[str]:
    """Layers of the first of `masks` that is there; none where none is."""
    records = (snapshot.record(key) for key in masks)
    return next((list(record["fields"].get("layers", ())) for record in records if record is not None), [])


def _layers(summary: Mapping[str, Any], own: list[str], orders: Orders) -> list[list[Any]]:
    """Layer, position, survivors, total, fraction pruned and ratio of each layer of a record's summary.

    `own`: the layers that the source prunes; of a network that is whole, the summary has all but the output layer.
    """
    total = summary["total"]
    total = {name: total[name] for name in own or orders.get(frozenset(total), list(total)) if name in total}
    survivors = {name: summary["survivors"][name] for name in total}
    overall = 1 - sum(survivors.values()) / max(1, sum(total.values()))
    pruned = {name: 1 - survivors[name] / size for name, size in total.items()}
    return [
        [name, position, survivors[name], size, pruned[name], pruned[name] / overall if overall else float("nan")]
        for position, (name, size) in enumerate(total.items())
    ]


LAYER = Axis("layer, from input to output", "category")
REMAINING = "remaining in layer (%)"
RATIO = Axis("pruned in layer / overall")
LOGARITHMIC_BELOW, DECADE = 5.0, 10.0
"""Percent remaining in some layer below which a linear axis shows nothing of it, if others have ten times as much."""
NAMED_ROUNDS = 6
"""Rounds in the legend: the hover names the others."""
LAYER_ROW = ["layer", "position"]
INCHES, WIDEST = 0.36, 12.0
"""Of a layer whose name can be read, and of a panel."""


def layer_charts(findings: Findings) -> list[list[Chart]]:
    """For each source: what remains and the ratio, by layer and round; and its last round beside controls."""
    means = _means(findings.of(LAYERS))
    looks = look_of(findings)
    charts = []
    for number, (source, rows) in enumerate(_by_source(means, findings)):
        charts.append(
            [
                _by_round(f"remaining-{number}", source, rows),
                *_ratio(f"ratio-{number}", source, rows, findings),
                _beside_controls(f"last-{number}", source, rows, means, looks),
            ]
        )
    return [[chart for chart in of_source if chart.series] for of_source in charts]


def ratio_charts(findings: Findings) -> list[Chart]:
    """Of `layer_charts`, the ratios alone: Morcos et al. 2019, Figure 1b, for each source."""
    charts: list[Chart] = []
    for number, (source, rows) in enumerate(_by_source(_means(findings.of(LAYERS)), findings)):
        charts += _ratio(f"ratio-{number}", source, rows, findings)
    return [chart for chart in charts if chart.series]


def _by_source(means: pd.DataFrame, findings: Findings) -> Iterator[tuple[str, pd.DataFrame]]:
    """The masks of each source's chain."""
    found = means[means["ticket"].isin(findings.spec.winning[:1]) & (means["source"] != ANY)]
    for source, rows in found.groupby("source", sort=False):
        yield str(source), rows


def _means(layers: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, in layer order; `remaining` in [0, 1]."""
    rows = layers.assign(
        remaining=layers["survivors"] / layers["total"], layer=layers["layer"].str.removesuffix(".weight")
    )
    by = ["source", "ticket", "round", *LAYER_ROW]
    means = rows.groupby(by, as_index=False, sort=False).agg(
        remaining=("remaining", "mean"), ratio=("ratio", "mean"), survivors=("survivors", "mean"), n=("seed", "nunique")
    )
    return means.sort_values("position", kind="stable")


def _by_round(name: str, source: str, rows: pd.DataFrame) -> Chart:
    series = _steps(rows, "remaining")
    rounds = count_of(len(series), "round")
    words = f"Weights remaining in each layer of the tickets of {source}, one line for each of {rounds}."
    return Chart(name, f"source: {source}, what remains", words, LAYER, _axis(series), series, FIELDS)


def _ratio(name: str, source: str, rows: pd.DataFrame, findings: Findings) -> list[Chart]:
    """One chart, or none for a source that is pruned layerwise: its ratio is 1 but for the rounding of weights."""
    if source in {entry.name for entry in findings.spec.sources if entry.prune.scope == "layerwise"}:
        return []
    series = _steps(rows[rows["ratio"].notna()], "ratio")
    words = (
        f"Fraction pruned in each layer of the tickets of {source} over the fraction pruned overall, one line a round; "
        "above 1 a layer loses more than layerwise pruning would take."
    )
    return [Chart(name, f"source: {source}, ratio to layerwise pruning", words, LAYER, RATIO, series, FIELDS)]


FIELDS = ("weights that survive, mean", "n")


def _steps(rows: pd.DataFrame, column: str) -> list[Series]:
    """One line a round, the last one drawn last."""
    rounds = sorted(rows["round"].unique())
    named = evenly([number for number in rounds if number] or rounds, NAMED_ROUNDS)
    series = []
    for number in rounds:
        of_round = rows[rows["round"] == number]
        values = percent(of_round["remaining"]) if column == "remaining" else numbers(of_round[column])
        one = Series(f"round {number}", of_round["layer"].tolist(), values, role="step", more=_more(of_round))
        one.place = (number - rounds[0]) / max(1, rounds[-1] - rounds[0])
        one.legend = number in named
        series.append(one)
    return series


def _beside_controls(
    name: str, source: str, rows: pd.DataFrame, means: pd.DataFrame, looks: dict[tuple[str, str], Line]
) -> Chart:
    last = rows["round"].max()
    series = []
    at_end = means[(means["round"] == last) & means["source"].isin([source, ANY])]
    groups = dict(list(at_end.groupby(["source", "ticket"], sort=False)))
    for pair, line in looks.items():
        if pair not in groups:
            continue
        layer = groups[pair]
        series.append(Series(line.label, layer["layer"].tolist(), percent(layer["remaining"]), line, more=_more(layer)))
    if len(series) < 2:  # nothing to hold it against
        series = []
    first = [(one.name, float(one.y[0] or 0)) for one in series]
    words = f"Weights remaining in each layer at round {last}; in the first layer: {spelled(first, ' %')}."
    return Chart(
        name, f"source: {source}, beside controls at round {last}", words, LAYER, _axis(series), series, FIELDS
    )


def _more(rows: pd.DataFrame) -> list[list[float]]:
    return [numbers(rows["survivors"].round(1)), rows["n"].tolist()]


def _axis(series: Sequence[Series]) -> Axis:
    """Logarithmic where a layer is nearly empty; one that is empty has no place on it."""
    values = [y for one in series for y in one.y if y] or [100.0]
    spans = min(values) < LOGARITHMIC_BELOW and max(values) > DECADE * min(values)
    return Axis(REMAINING, "log" if spans else "linear", "%")


def _page(findings: Findings) -> Fragment:
    charts = layer_charts(findings)
    return Fragment({"layers": charts}, flat(charts))


def layers_figure(findings: Findings) -> Figure | None:
    """What remains and the ratio of Figure 1b, by layer and round; a row a source."""
    return panels_figure(flat(layer_charts(findings)), f"{findings.name}: survivors by layer, means over seeds")


def ratio_figure(findings: Findings) -> Figure | None:
    """Morcos et al. 2019, Figure 1b: the ratio of global to layerwise pruning by layer and round; a panel a source."""
    charts = ratio_charts(findings)
    if not charts:
        return None
    layers = max(len(one.x) for chart in charts for one in chart.series)
    width = min(WIDEST, max(PANEL[0], INCHES * layers + 1))
    title = f"{findings.name}: ratio of global to layerwise pruning\nby layer and round, means over seeds"
    a_row = 3 if width == PANEL[0] else 1 if len(charts) < 3 else 2
    return panels_figure(charts, title, (width, PANEL[1] + 0.4), a_row)


SECTION = Section(
    "layers",
    "Layers",
    "Survivors by layer",
    _page,
    computed=(LAYERS,),
    stills={"layers": layers_figure, "ratio": ratio_figure},
)
