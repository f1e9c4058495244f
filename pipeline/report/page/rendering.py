"""The report as one HTML file that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.experiment.spec_analysis import Convergence, EarlyStop, Settles
from pipeline.lottery.printable import escaped, escaped_json
from pipeline.report.charts import palette
from pipeline.report.charts.bands import band_in_words
from pipeline.report.charts.chart import CROWD, Chart
from pipeline.report.charts.convergence import convergence_charts
from pipeline.report.charts.curves import pruning_curves
from pipeline.report.charts.inside_tickets import connectivity_charts, initial_weight_charts
from pipeline.report.charts.layers import layer_charts
from pipeline.report.charts.learning_levels import LearningPanels, learning_panels
from pipeline.report.charts.matrices import matrices
from pipeline.report.charts.overlap import between_rounds, overlap_charts
from pipeline.report.charts.sensitivity import sensitivity_charts
from pipeline.report.charts.training import learning_curves, learning_level
from pipeline.report.findings import Findings
from pipeline.report.page.dense_networks import BesideDenseTable, WinningTickets
from pipeline.report.page.how_far import how_far
from pipeline.report.page.inside_tickets import about_connectivity, about_initial_weights, no_initial_weights
from pipeline.report.page.published import beside_paper_rows, networks_table, paired_rows
from pipeline.report.page.tables import cost_rows, header, moment, provenance_rows, unmade_rows
from pipeline.report.paper import TITLES
from pipeline.report.success import how_many_succeed, is_all
from pipeline.report.verdicts import answers
from pipeline.report.wording import margin_points, percent_left

SCRIPTS = ("charts.js", "matrices.js", "page.js")


@dataclass(frozen=True, slots=True)
class Trusted:
    """Text of ours that goes into the page as it is."""

    css: str
    scripts: Sequence[str]
    plotly: str
    data: str


def render(findings: Findings, *, refresh: int | None = None) -> str:
    """The page of one experiment, complete in itself; what has nothing to show is one sentence that says why.

    `refresh`: seconds after which a browser reads the file again, while results come in.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("pipeline.report.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    environment.filters |= {"percent_left": percent_left, "margin": margin_points, "moment": moment}
    sections = _sections(findings)
    charts = {chart.id: chart.described() for chart in _every_chart(sections)}
    compared = sections["matrices"].described() if sections["matrices"] else None
    source = environment.loader.get_source  # type: ignore[union-attr]
    trusted = Trusted(
        css=source(environment, "page.css")[0],
        scripts=[source(environment, name)[0] for name in SCRIPTS],
        plotly=get_plotlyjs(),
        data=safe_json({"charts": charts, "matrices": compared, "crowd": CROWD, **palette.for_page()}),
    )
    return environment.get_template("page.html.j2").render(
        **sections,
        spec=findings.spec,
        header=header(findings),
        trusted=trusted,
        palette=palette,
        crowd=CROWD,
        refresh=refresh,
    )


def _plain(value: object) -> object:
    """What a template shows: text as `escaped` gives it, and markup of ours as it is."""
    return escaped(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def safe_json(value: object) -> str:
    """JSON that cannot end the script element it is in, or start a comment there."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return escaped_json(text).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _sections(findings: Findings) -> dict[str, Any]:
    alone = is_all(findings.networks, findings.comparisons)
    compared = None if alone else matrices(findings)
    level = compared.levels[compared.chosen] if compared else None
    trained = learning_level(findings)
    nested = between_rounds(findings)
    asked = findings.spec.analysis.levels
    panels = LearningPanels([], []) if asked is None else learning_panels(findings, asked)
    return {
        "findings": findings,
        "level": level,
        "answers": [
            *how_many_succeed(findings.networks),
            *([] if alone else answers(findings.comparisons, level, findings.curves)),
        ],
        "networks": networks_table(findings.networks),
        "paired_networks": paired_rows(findings.paired_networks),
        "beside_paper": beside_paper_rows(findings.beside_paper),
        "untested": "; ".join(findings.comparisons["remark"].drop_duplicates()) or "there is none",
        "curves": pruning_curves(findings),
        "sensitivity": sensitivity_charts(findings),
        "sensitive_layers": _records(findings.sensitivity),
        "matrices": compared,
        "how_far": how_far(findings),
        "beside_dense": BesideDenseTable.of(findings),
        "winning": WinningTickets.of(findings),
        "learning": learning_curves(findings, trained) if trained is not None and asked is None else [],
        "learning_panels": panels,
        "band": band_in_words(findings.spec.analysis.spread),
        "learning_level": trained,
        "convergence": convergence_charts(findings),
        "rule": in_words(findings.spec.analysis.convergence),
        "unjudged": unjudged(findings),
        "judged": bool(findings.convergence["converged"].notna().any()),
        "layers": layer_charts(findings),
        "initial": initial_weight_charts(findings),
        "initial_start": about_initial_weights(findings),
        "no_initial": no_initial_weights(findings),
        "connected": connectivity_charts(findings),
        "connectivity": about_connectivity(findings),
        "overlap": overlap_charts(findings) + ([] if isinstance(nested, str) else nested),
        "nested": nested if isinstance(nested, str) else "",
        "unmade": unmade_rows(findings.unmade),
        "paper": TITLES.get(findings.spec.analysis.paper, ""),
        "settings": _records(findings.settings),
        "cost": cost_rows(findings.cost),
        "provenance": provenance_rows(findings.provenance),
    }


def _every_chart(sections: Mapping[str, Any]) -> list[Chart]:
    flat = [*sections["curves"], *sections["learning"], *sections["convergence"], *sections["overlap"]]
    flat += sections["sensitivity"]
    rows = [*sections["layers"], *sections["initial"], *sections["connected"], *sections["learning_panels"].rows]
    return flat + [chart for row in rows for chart in row]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def in_words(rule: Convergence) -> str:
    """The rule of convergence as a clause."""
    if isinstance(rule, Settles):
        return (
            f"the first record from which test accuracy stays within {margin_points(rule.tolerance)} of the last "
            "record's; a training whose last record is the first such one has not converged"
        )
    if isinstance(rule, EarlyStop):
        return (
            "the record with the smallest loss on the validation images, where early stopping would end the training; "
            "only a training that diverged has not converged"
        )
    return (
        f"the moment at which the moving average of test accuracy over {rule.window} has changed by less than "
        f"{margin_points(rule.tolerance)} for {rule.patience}"
    )


def unjudged(findings: Findings) -> str:
    """How many trainings the rule of convergence cannot judge, and why; empty where it can judge all."""
    converged = findings.convergence["converged"]
    count = int(converged.isna().sum())
    if not count:
        return ""
    whose = "Convergence" if count == len(converged) else f"Convergence of {count:,} of {len(converged):,} trainings"
    if isinstance(findings.spec.analysis.convergence, Settles):
        return f"{whose} cannot be judged by this rule: the training has a single record."
    if isinstance(findings.spec.analysis.convergence, EarlyStop):
        return (
            f"{whose} cannot be judged by this rule: there are no validation images (dataset: {{validation: n}}), or "
            "the training has a single record."
        )
    return (
        f"{whose} cannot be judged by this rule: the training is shorter than window and patience, or its records are "
        "further apart than the patience."
    )
