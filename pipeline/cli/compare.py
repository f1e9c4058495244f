"""`tickets compare`: two experiments side by side."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.cli.console import open_console, say
from pipeline.cli.options import DATA, STORE, DataOption, Experiment, JsonOption, StoreOption
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

ROWS = 60
"""Curves that a terminal shows; all of them are in --json."""


def compare(
    a: Experiment,
    b: Experiment,
    store: StoreOption = STORE,
    data: DataOption = DATA,
    at: Annotated[
        float | None,
        typer.Option(min=0.0, max=0.999999, help="Fraction pruned. Default: the most pruned that both have."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show in what two experiments differ."""
    from pipeline.engine.failures import failures
    from pipeline.engine.store import Store
    from pipeline.report.analysis.two_experiments import compare as compare_results
    from pipeline.report.named_experiment import open_experiment
    from pipeline.report.results import results_table
    from pipeline.report.spec_settings import spec_differences

    opened = Store(store, create=False).existing()
    grids = [open_experiment(experiment, opened, data) for experiment in (a, b)]
    snapshot = opened.snapshot()
    tables = [results_table(grid, snapshot, failures(opened, grid.name)[0]) for grid in grids]
    settings = spec_differences(grids[0].spec, grids[1].spec)
    compared = compare_results(tables[0], tables[1])
    if as_json:
        facts = {"settings": json.loads(settings.to_json(orient="records"))}
        print(json.dumps({**facts, "results": json.loads(compared.to_json(orient="records"))}, indent=2))
        return
    console = open_console()
    style = box.SIMPLE_HEAD if console.is_terminal else box.ASCII
    names = [grid.name for grid in grids] if grids[0].name != grids[1].name else [a, b]
    if settings.empty:
        say(console, "The two have the same settings.")
    else:
        console.print(_settings(settings, names, style))
    if compared.empty:
        raise UserError(
            f"{names[0]} and {names[1]} have nothing in common: no source, target, ticket and level are the same."
        )
    console.print(_results(compared, names, at, style))


def _settings(settings: "pd.DataFrame", names: list[str], style: box.Box) -> RenderableType:
    table = Table(title="Settings that differ", box=style, title_justify="left", pad_edge=False)
    for heading in ("setting", *names):
        table.add_column(heading, overflow="fold")
    for row in settings.itertuples():
        table.add_row(Text(str(row.field)), Text(str(row.a)), Text(str(row.b)))
    return table


def _results(compared: "pd.DataFrame", names: list[str], at: float | None, style: box.Box) -> RenderableType:
    from pipeline.report.rows import rows_of
    from pipeline.report.wording import interval, points

    measured = compared[(compared["n_a"] > 0) & (compared["n_b"] > 0)]
    levels = sorted((measured if len(measured) else compared)["left"].unique())
    below = [level for level in levels if level < 1] or levels
    level = below[0] if at is None else min(levels, key=lambda left: abs(left - (1 - at)))
    rows = compared[compared["left"] == level]
    table = Table(
        title=f"Test accuracy (%) with {100 * level:.3g} % of the weights left, and {names[1]} minus {names[0]} in "
        "points, paired by seed",
        box=style,
        title_justify="left",
        pad_edge=False,
        caption="\n".join(_captions(rows)),
    )
    for heading in ("source", "target", "ticket"):
        table.add_column(heading, overflow="fold")
    for heading in (*names, "difference", "95 % interval", "p (Holm)", "n"):
        table.add_column(heading, justify="right")
    for row in rows_of(rows.head(ROWS)):
        means = [f"{100 * mean:.2f}" if n else "-" for mean, n in ((row.mean_a, row.n_a), (row.mean_b, row.n_b))]
        test = (row.remark, "") if row.remark else (interval(row), f"{row.p_holm:.2g}")
        difference = points(row.difference) if row.n else "-"
        table.add_row(row.source, row.target, row.ticket, *means, difference, *test, str(row.n))
    return table


def _captions(rows: "pd.DataFrame") -> "Iterator[str]":
    if ((rows["n_a"] != rows["n"]) | (rows["n_b"] != rows["n"])).any():
        yield "means are over each one's own seeds, differences over the n seeds that both have"
    if len(rows) > ROWS:
        yield f"{count_of(len(rows) - ROWS, 'more row')}: --json has {'it' if len(rows) - ROWS == 1 else 'them'}"
