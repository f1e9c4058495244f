"""The experiment's description in MLflow: what is to be seen, by which link, filter or clicks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pipeline.engine.point_labels import model_label
from pipeline.engine.tracking.curves import ALL_SEEDS
from pipeline.engine.tracking.metrics import ACCURACY
from pipeline.engine.tracking.report import REPORT_RUN
from pipeline.engine.tracking.tickets import model_name
from pipeline.experiment.spec import ANY
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.experiment.grid import Grid

LONGEST = 4_900
"""Characters; MLflow takes 5,000."""
HINT = "Charts and filters: the arrow at the right."
"""After the first paragraph of the grid's own words: MLflow shows the beginning, and the rest on demand."""
FIRST_END = re.compile(r"\n(?=[ \t]*(?:\n|[-*+#>|]|\d+[.)]))")
"""Where the first paragraph of Markdown ends: at an empty line, a list, a heading, a quotation or a table."""
LINKS = 6
"""Targets, and as many sources, that have a link; the filter of the others reads alike."""


def description(grid: Grid, experiment_id: str) -> str:
    """Markdown. The links are MLflow's own addresses, relative: they hold wherever its UI is opened."""
    text = grid.spec.description.strip()
    for links in range(LINKS, -1, -1):
        parts = [_what(grid), _charts(grid, experiment_id, links), CLICKS, _further(grid, experiment_id)]
        guide = "\n\n".join(parts)
        room = LONGEST - len(guide) - len(f" {HINT}\n\n\n")
        if len(text) <= room:
            break
    if len(text) > room:
        text = text[: room - 1] + "…"
    first, *rest = FIRST_END.split(text, maxsplit=1)
    return "\n".join([f"{first} {HINT}".strip(), *rest, "", guide])


def chart_link(experiment_id: str, query: str) -> str:
    """MLflow's chart view of the runs that `query` finds."""
    asked = {"workflowType": "machine_learning", "compareRunsMode": "CHART", "searchFilter": query}
    return f"#/experiments/{experiment_id}/runs?{urlencode(asked)}"


CLICKS = f"""**By hand**

1. **Model training** at the top left, **Experiments**, this experiment, **Runs**.
2. **Chart view**: the second of the three icons beside the search field.
3. Put a filter from above into the search field, press Enter.
4. Section **Model metrics**, chart **{ACCURACY}**: one line is one transfer, the mean over its seeds; Step is the \
round of pruning. The icon with four corners enlarges it.
5. Of more than ten runs the eye above their names shows the rest: **Show all runs**.
6. `{ACCURACY}$` in **Search metric charts** leaves that one chart; its lower right corner can be dragged."""


def _what(grid: Grid) -> str:
    sources = dict.fromkeys(point.source for point in grid.points if point.source != ANY)
    targets = dict.fromkeys(point.target for point in grid.points)
    last = max(grid.points, key=lambda point: point.fraction_pruned)
    return (
        "**Does the ticket transfer, from where, and how far can it be pruned?** "
        f"{', '.join(map(model_label, grid.spec.models))}; "
        f"tickets {', '.join(ticket.name for ticket in grid.spec.tickets)}; {count_of(len(sources), 'source')}, "
        f"{count_of(len(targets), 'target')}, {count_of(len(grid.spec.seeds), 'seed')}; "
        f"{count_of(last.round, 'round')} of pruning, after which "
        f"{100 * last.survivors / last.total:.3g} % of the weights are left. A run is a curve, `source -> target, "
        "ticket, optimizer`: the mean over seeds, with a child for each seed."
    )


def _charts(grid: Grid, experiment_id: str, links: int) -> str:
    """Links and filters: all transfers, what comes to a target, where the tickets of a source go."""
    everywhere = f"tags.seed = '{ALL_SEEDS}'"
    winning = grid.spec.winning
    own = f" and tags.ticket = '{winning[0]}'" if winning else ""
    lines = [f"- {_link('All transfers', experiment_id, everywhere + own)}"] if winning else []
    targets = list(dict.fromkeys(point.target for point in grid.points))[:links]
    sources = list(dict.fromkeys(point.source for point in grid.points if point.source != ANY))[:links]
    queries = {f"On {target}": f"{everywhere} and tags.target = '{target}'" for target in targets}
    queries |= {f"From {source}": f"{everywhere} and tags.source = '{source}'{own}" for source in sources}
    lines += [f"- {_link(text, experiment_id, query)}" for text, query in queries.items()]
    return "\n".join([f"**Charts of {ACCURACY} by round**, and the filters that make them", "", *lines])


def _further(grid: Grid, experiment_id: str) -> str:
    report = chart_link(experiment_id, f"attributes.run_name = '{REPORT_RUN}'").replace("CHART", "TABLE")
    example = next((point.source for point in grid.points if point.source != ANY), None)
    lines = [
        f"- Charts beside it: **{ACCURACY}_low** and **_high**, the 95 % interval of the mean, **_std** and **_n**. On "
        "the run of a seed losses, accuracy on the training images, and seconds.",
        "- Tags and parameters to filter by: `source`, `target`, `ticket`, `seed` (a number, or "
        f"`{ALL_SEEDS}` for the mean), `model`, `source_optimizer`, `target_optimizer`.",
        f"- The report page, its figures and tables, the grid's file and versions: [run `{REPORT_RUN}`]({report}), tab "
        "**Artifacts**. It has the log scale of weights remaining, the intervals and the tests.",
    ]
    if example is not None and grid.spec.winning:
        lines.append(
            "- Tickets: **Model registry** at the left; one registered model a source "
            f"(`{model_name(grid.name, example)}`), one version a seed: the ticket of the last round, how to export it."
        )
    return "\n".join(["**Further**", "", *lines])


def _link(text: str, experiment_id: str, query: str) -> str:
    return f"[{text}]({chart_link(experiment_id, query)}): `{query}`"
