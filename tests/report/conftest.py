"""Synthetic findings: whole experiments that never ran, for the page and the stills; and pages opened in a browser."""

import io
import json
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load
from pipeline.lottery.printable import escaped
from pipeline.report.analysis import networks
from pipeline.report.findings import Findings
from pipeline.report.histories import VALIDATED
from pipeline.report.page.rendering import render
from pipeline.report.results import TYPES
from pipeline.report.rows import rows_of, table_of
from pipeline.report.sections import connectivity, initial, order
from pipeline.report.sections.cost import Cost
from pipeline.report.sections.layers import TYPES as LAYERS_TYPES
from pipeline.report.sections.provenance import Origin
from pipeline.report.sections.unmade import unmade
from pipeline.report.terminal_report import report

if TYPE_CHECKING:
    from playwright.sync_api import Page

TOTAL = 266_200
LAYERS = {"fc1.weight": 235_200, "fc2.weight": 30_000, "fc3.weight": 1_000}
MADE = 1_790_000_000.0
GRID = """
name: {name}
description: {description}
model: lenet-300-100
seeds: {seeds}
training: {{optimizer: {{name: sgd, lr: 0.1}}, batch_size: 64, length: 30ep}}
prune: {{rate: 0.2, rounds: 30, prune_output: true}}
sources: {sources}
targets: {targets}
tickets: {tickets}
diagonal: share
"""


@pytest.fixture(scope="session")
def findings_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Findings]:
    """`findings_of(...)` makes the findings of an experiment as the arguments of `make` say, once. Do not change."""

    @cache
    def make(
        sources: int = 2,
        targets: int = 2,
        seeds: int = 6,
        rounds: tuple[int, ...] = (0, 1, 2, 4, 8, 12, 16, 20),
        name: str = "synthetic",
        description: str = "Tickets of one data set on others.",
        tickets: str = "[winning, random]",
        optimizers: bool = False,
        records: int = 12,
        status: Callable[[pd.DataFrame], Any] | None = None,
        why: str = "RuntimeError: out of memory",
    ) -> Findings:
        """`status` maps the results to their `status`; the default is that all are ok."""
        sides = max(sources, targets)
        entries = [_side(number, optimizers) for number in range(sides)]
        file = tmp_path_factory.mktemp("grid") / "grid.yaml"
        grid = {"name": name, "description": json.dumps(description), "seeds": list(range(seeds)), "tickets": tickets}
        file.write_text(GRID.format(sources=entries[:sources], targets=entries[:targets], **grid).replace("'", ""))
        spec = load(file)
        results = _results(spec, rounds, np.random.default_rng(0))
        if status is not None:
            results["status"] = pd.Series(status(results), index=results.index, dtype="string")
            results.loc[results["status"].isin(["missing", "failed"]), ["test_accuracy", "seconds", "finished"]] = (
                np.nan
            )
        failed = dict.fromkeys(results.loc[results["status"] == "failed", "stage"], why)
        layers, overlap = _layers(spec, rounds), _overlap(spec, rounds)
        return _findings(spec, results, layers, overlap, records, failed, file.read_text())

    return make


@pytest.fixture(scope="session")
def findings_from(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Findings]:
    """`findings_from(text, accuracy)` makes the findings of a grid in YAML, its points and layers those of the plan.

    `accuracy(point)` is the mean over seeds, for each `pipeline.experiment.grid.Point`.
    """

    def make(text: str, accuracy: Callable[[Any], float], spread: float = 0.003) -> Findings:
        file = tmp_path_factory.mktemp("grid") / "grid.yaml"
        file.write_text(text)
        spec = load(file)
        grid = expand(spec)
        noise = np.random.default_rng(0)
        rows = [asdict(point) | {"test_accuracy": accuracy(point) + spread * noise.normal()} for point in grid.points]
        results = _completed(pd.DataFrame(rows), spec)
        recipes = [stage.recipe for stage in grid.stages.values() if stage.kind == "train"]
        size: Any = next(recipe.fields()["input"] for recipe in recipes if recipe is not None)
        model: Any = spec.sources[0].model.recipe()
        shapes = model.layers(tuple(size), 10)[:-1]
        return _findings(spec, results, _global_layers(results, shapes), _overlap(spec, (0, 1)), 4, {}, text)

    return make


def _findings(
    spec: Any, results: pd.DataFrame, layers: pd.DataFrame, overlap: pd.DataFrame, records: int, failed: Any, text: str
) -> Findings:
    empty = {"initial_weights": initial.TYPES, "connectivity": connectivity.TYPES}
    empty |= {"networks": networks.TYPES, "paired_networks": networks.PAIR_TYPES}
    computed: dict[str, Any] = {name: table_of([], types) for name, types in empty.items()}
    computed |= {"histories": _histories(results, records), "layers": layers, "overlap": overlap}
    computed |= {"unmade": unmade(results, failed, {}, {}), "cost": _cost(results)}
    facts = {"versions": ["python 3.11.7, torch 2.15.0"], "hardware": ["cpu two cores, device cpu"]}
    computed["provenance"] = Origin({**facts, "commits": ["0123abc"], "drivers": ["1"], "store": ["/store"]}, text)
    findings = Findings(spec, results, MADE, computed=computed, omissions=("Masks were compared at one level.",))
    for one in (one for section in order.SECTIONS for one in section.computed):
        findings.of(one)
    return findings


@pytest.fixture(scope="session")
def plain_text() -> Callable[..., str]:
    """`plain_text(findings)` is the terminal's report without colours or box characters."""

    def text(findings: Findings, width: int = 120) -> str:
        stream = io.StringIO()
        console = Console(file=stream, width=width, color_system=None, markup=False, emoji=False)
        console.print(report(findings, width=width, plain=True))
        return escaped(stream.getvalue())

    return text


HOSTILE = "</script><script>document.title='owned'</script><!-- <img src=x onerror=\"document.title='owned'\"> & \u2028"
HOSTILE += "\x1b[2J\x9b\u202e"


@pytest.fixture
def hostile(findings_of: Callable[..., Findings]) -> tuple[Findings, str]:
    """Findings with hostile text where users or errors can put some, and in names, where nobody can; and how the page
    shows the text."""
    findings = findings_of(why=HOSTILE, status=lambda results: ["failed"] + ["ok"] * (len(results) - 1))
    tables = {name: findings.computed[name].replace({"set-1": HOSTILE}) for name in ("curves", "layers", "overlap")}
    results = findings.results.replace({"set-1": HOSTILE})
    spec = findings.spec.model_copy(update={"description": HOSTILE})
    computed = findings.computed | tables | {"provenance": Origin({"store": [HOSTILE]}, HOSTILE)}
    return replace(findings, results=results, computed=computed, spec=spec, omissions=(HOSTILE,)), escaped(HOSTILE)


def _side(number: int, optimizers: bool) -> str:
    adam = ", training: {optimizer: {name: adam, lr: 0.001}}" if optimizers and number % 2 else ""
    return f"{{name: set-{number}, dataset: {{name: digits, per_class: {number + 1}}}{adam}}}"


def _results(spec: Any, rounds: tuple[int, ...], random: np.random.Generator) -> pd.DataFrame:
    """Accuracy falls with pruning, most for controls, more for transferred tickets than for the target's own."""
    parts = []
    for at, target in enumerate(spec.targets):
        points = [("any", "dense", 0)]
        points += [(source.name, "winning", number) for source in spec.sources for number in rounds]
        controls = [ticket.name for ticket in spec.tickets if not ticket.is_winning]
        points += [("any", control, number) for control in controls for number in rounds if number]
        rows = pd.DataFrame(points, columns=["source", "ticket", "round"]).merge(
            pd.DataFrame({"seed": list(spec.seeds)}), how="cross"
        )
        depth = rows["round"] / 20
        loss = np.where(rows["ticket"] == "winning", 0.03, 0.25) * depth**2
        foreign = (rows["ticket"] == "winning") & (rows["source"] != target.name)
        loss = loss + np.where(foreign, 0.02 * depth, 0)
        noise = 0.004 * random.standard_normal(len(rows))
        parts.append(rows.assign(target=target.name, test_accuracy=0.96 - 0.01 * (at % 5) - loss + noise))
    table = pd.concat(parts, ignore_index=True)
    survivors = (TOTAL * 0.8 ** table["round"]).round().astype("int64")
    counts: dict[str, Any] = {"survivors": survivors, "total": TOTAL, "fraction_pruned": 1 - survivors / TOTAL}
    return _completed(table.assign(**counts), spec)


def _completed(table: pd.DataFrame, spec: Any) -> pd.DataFrame:
    """The columns of results that points do not have."""
    optimizers = {side.name: side.training.optimizer.name for side in (*spec.sources, *spec.targets)}
    table = table.assign(
        experiment=spec.name,
        model="lenet-300-100",
        source_optimizer=table["source"].map(optimizers).fillna("any"),
        target_optimizer=table["target"].map(optimizers),
        status="ok",
        stage=[f"{number:064x}" for number in range(len(table))],
        mask=None,
        seconds=2.0,
        finished=MADE,
    ).reindex(columns=list(TYPES))
    text = ["experiment", "model", "source", "target", "source_optimizer", "target_optimizer", "ticket", "status"]
    return table.astype(dict.fromkeys([*text, "stage", "mask"], "string"))


def _histories(results: pd.DataFrame, records: int) -> pd.DataFrame:
    stages = results.loc[results["test_accuracy"].notna(), ["stage", "test_accuracy"]]
    steps = pd.DataFrame({"iteration": 100 * np.arange(1, records + 1)})
    table = stages.merge(steps, how="cross")
    rise = 1 - 0.5 ** (table["iteration"] / 100)
    table["test_accuracy"] = table["test_accuracy"] * rise
    validated = dict.fromkeys(VALIDATED, np.nan)
    more: dict[str, Any] = {"train_loss": 1 - rise, "train_accuracy": rise, "test_loss": 1.0, **validated, "lr": 0.1}
    return table.assign(epoch=table["iteration"] / 100, **more)


def _layers(spec: Any, rounds: tuple[int, ...]) -> pd.DataFrame:
    masks = [(source.name, "winning") for source in spec.sources]
    masks += [("any", ticket.name) for ticket in spec.tickets if ticket.mask == "permuted-globally"]
    rows = []
    for source, ticket in masks:
        for number in rounds:
            for seed in spec.seeds:
                pruned = 1 - 0.8**number
                for position, (layer, total) in enumerate(LAYERS.items()):
                    kept = 0.8 ** (number * (1.1 - 0.3 * position * (ticket == "winning")))
                    ratio = (1 - kept) / pruned if number else np.nan
                    rows.append(
                        (source, ticket, number, seed, layer, position, round(kept * total), total, 1 - kept, ratio)
                    )
    return pd.DataFrame(rows, columns=list(LAYERS_TYPES))


def _global_layers(results: pd.DataFrame, shapes: Any) -> pd.DataFrame:
    """Survivors by layer of global pruning: layers near the input, which have few weights, keep most of theirs."""
    rows = []
    sizes = {name: math.prod(shape) for name, shape in shapes}
    chains = results[(results["ticket"] == "winning") & (results["round"] > 0)]
    for at in rows_of(chains.drop_duplicates(["source", "round", "seed"])):
        left = {name: (at.survivors / at.total) ** (0.3 + 0.7 * place / len(sizes)) for place, name in enumerate(sizes)}
        overall = 1 - sum(left[name] * size for name, size in sizes.items()) / sum(sizes.values())
        mask = (at.source, at.ticket, at.round, at.seed)
        for position, (name, size) in enumerate(sizes.items()):
            pruned = 1 - left[name]
            rows.append((*mask, name, position, round(left[name] * size), size, pruned, pruned / overall))
    return pd.DataFrame(rows, columns=list(LAYERS_TYPES))


def _overlap(spec: Any, rounds: tuple[int, ...]) -> pd.DataFrame:
    names = [source.name for source in spec.sources]
    pairs = pd.DataFrame(
        [("sources", a, b) for at, a in enumerate(names) for b in names[at + 1 :]] + [("rounds", a, a) for a in names],
        columns=["kind", "source", "other_source"],
    )
    pruned = [number for number in rounds if number]
    before = dict(zip(pruned[1:], pruned, strict=False))
    table = pairs.merge(pd.DataFrame({"round": pruned}), how="cross")
    table = table.merge(pd.DataFrame({"seed": list(spec.seeds)}), how="cross")
    table = table[(table["kind"] == "sources") | table["round"].isin(before)].reset_index(drop=True)
    between = table["kind"] == "rounds"
    left = 0.8 ** table["round"]
    return table.assign(
        other_round=table["round"].map(before).where(between, table["round"]).astype("int64"),
        survivors=(TOTAL * left).round().astype("int64"),
        other_survivors=(TOTAL * left).round().astype("int64"),
        total=TOTAL,
        common=(TOTAL * left**1.5).round().astype("int64"),
        overlap=np.where(between, 1.0, left**0.5),
        chance=left,
        chance_low=left - 0.002,
        chance_high=left + 0.002,
        chance_by_layer=left**0.8,
        mask="m",
        other_mask="o",
    )


def _cost(results: pd.DataFrame) -> Cost:
    seconds = pd.DataFrame(
        [("chain", 96, 96, 200.0, 2.0), ("prune", 96, 96, 20.0, 0.2), ("random", 40, 0, 0.0, np.nan)],
        columns=["kind", "stages", "done", "seconds", "median"],
    )
    done, stages = int((results["status"] == "ok").sum()), 1 + len(results)
    times: dict[str, Any] = {"iterations": 123_456, "first": MADE - 900, "last": MADE, "hosts": 1}
    return Cost(stages, len(results), 96, done, requested=2 * len(results), seconds=seconds, **times)


SLOW = 120_000
"""Milliseconds in which a page does what is waited for, on a machine that runs other tests."""
DRAWN = "(id) => document.querySelectorAll(`#${id} .scatterlayer .trace`).length > 0"
VISITED = "(id) => document.getElementById(id).scrollIntoView({behavior: 'instant', block: 'center'})"
TRACES = "(id) => document.querySelectorAll(`#${id} .scatterlayer .trace`).length"


@dataclass
class Opened:
    """A page, and what went wrong on it."""

    page: "Page"
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Note what the browser says while it is so."""
        listeners: dict[Any, Callable[[Any], None]] = {
            "console": lambda message: self.problems.append(message.text),
            "pageerror": lambda error: self.problems.append(str(error)),
            "request": lambda request: self.requests.append(request.url),
        }
        for event, listener in listeners.items():
            self.page.on(event, listener)
        try:
            yield
        finally:
            for event, listener in listeners.items():
                self.page.remove_listener(event, listener)

    def traces(self, chart: str) -> int:
        """Scroll to a chart and count its marks."""
        self.page.evaluate(VISITED, chart)
        self.until(DRAWN, chart)
        return self.count(chart)

    def until(self, function: str, argument: Any = None) -> None:
        """Wait until a function of the page's language is true, asked by the clock: a frame may be long in coming."""
        self.page.wait_for_function(function, arg=argument, polling=100)

    def count(self, chart: str) -> int:
        """Marks of a chart as it is, without scrolling."""
        return int(self.page.evaluate(TRACES, chart))


@pytest.fixture(scope="module")
def visit(
    browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., AbstractContextManager[Opened]]]:
    """`with visit(page) as one` opens findings, rendered, or a page's text. In the end nothing may have gone wrong.

    All pages of a file of tests are opened in one tab, one after another: in a new tab Chromium reads plotly anew.
    """
    tab = browser.new_context(offline=True, has_touch=True).new_page()
    tab.set_default_timeout(SLOW)
    folder, numbers = tmp_path_factory.mktemp("pages"), count()

    @contextmanager
    def open_page(
        page: Findings | str, width: int = 1300, height: int = 900, color_scheme: Any = "light"
    ) -> Iterator[Opened]:
        file = folder / f"{next(numbers)}.html"
        file.write_text(page if isinstance(page, str) else render(page), encoding="utf-8")
        one = Opened(tab)
        one.page.set_viewport_size({"width": width, "height": height})
        one.page.emulate_media(media="screen", color_scheme=color_scheme)
        with one.heard():
            one.page.goto(file.as_uri())
            yield one
        one.page.goto("about:blank")
        assert one.problems == []
        assert {url for url in one.requests if not url.startswith(("data:", "blob:"))} == {file.as_uri()}

    yield open_page
    tab.context.close()


@pytest.fixture
def opened(visit: Callable[..., AbstractContextManager[Opened]]) -> Iterator[Callable[..., Opened]]:
    """`opened(page)` opens one for the rest of the test, as `visit` does."""
    with ExitStack() as pages:
        yield lambda page, **options: pages.enter_context(visit(page, **options))
