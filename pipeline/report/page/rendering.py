"""The report as one HTML file that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine.point_labels import model_label
from pipeline.engine.provenance import versions
from pipeline.lottery.counting import count_of
from pipeline.lottery.printable import escaped, escaped_json
from pipeline.report.charts import palette
from pipeline.report.charts.chart import CROWD
from pipeline.report.charts.columns import band_in_words
from pipeline.report.findings import Findings
from pipeline.report.sections import order
from pipeline.report.sections.section import Section
from pipeline.report.wording import margin_points, moment, percent_left

if TYPE_CHECKING:
    from jinja2 import Template

FOLDERS = (Path(__file__).parent / "templates", Path(order.__file__).parent)
"""Of templates: the page's, and those of sections, beside their modules."""


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
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=FileSystemLoader(FOLDERS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    environment.filters |= {"percent_left": percent_left, "margin": margin_points, "moment": moment}
    macros = environment.get_template("macros.html.j2").module
    environment.globals |= {name: getattr(macros, name) for name in ("panels", "nothing")}
    environment.globals |= {"spec": findings.spec, "crowd": CROWD}
    environment.globals |= {"band": band_in_words(findings.spec.analysis.spread)}

    def template_of(section: Section) -> Template:
        if section.template:
            return environment.from_string(section.template)
        return environment.get_template(f"{section.name}.html.j2")

    shown = [(section, fragment) for section in order.SECTIONS if (fragment := section.page(findings)) is not None]
    charts = {chart.id: chart.described() for _, fragment in shown for chart in fragment.charts}
    data = {name: value for _, fragment in shown for name, value in fragment.data.items()}
    source = environment.loader.get_source  # type: ignore[union-attr]  # it was given above
    scripts = [f"{section.name}.js" for section, _ in shown if section.script]
    trusted = Trusted(
        css=source(environment, "page.css")[0],
        scripts=[source(environment, name)[0] for name in ("charts.js", *scripts, "page.js")],
        plotly=get_plotlyjs(),
        data=safe_json({"charts": charts, "crowd": CROWD, **data, **palette.for_page()}),
    )
    fragments = {section.name: Markup(template_of(section).render(fragment.values)) for section, fragment in shown}
    return environment.get_template("page.html.j2").render(
        sections=[section for section, _ in shown],
        fragments=fragments,
        stills=[name for section in order.SECTIONS for name in section.stills],
        header=_header(findings),
        trusted=trusted,
        palette=palette,
        refresh=refresh,
    )


def _header(findings: Findings) -> dict[str, str]:
    """The page's first lines: what the grid is made of, and how far it is."""
    spec = findings.spec
    counts = (
        f"{count_of(len(spec.sources), 'source')}, {count_of(len(spec.targets), 'target')}, "
        f"{count_of(len(spec.seeds), 'seed')}, {count_of(len(spec.tickets), 'ticket')} "
        f"({', '.join(ticket.name for ticket in spec.tickets)})"
    )
    made = f"read {moment(findings.made)} by ticket-transfer {versions()['ticket-transfer']}"
    banner = " ".join(filter(None, (section.banner(findings) for section in order.SECTIONS if section.banner)))
    return {"model": ", ".join(map(model_label, spec.models)), "counts": counts, "made": made, "banner": banner}


def _plain(value: object) -> object:
    """What a template shows: text as `escaped` gives it, and markup of ours as it is."""
    return escaped(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def safe_json(value: object) -> str:
    """JSON that cannot end the script element it is in, or start a comment there."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return escaped_json(text).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
