"""When trainings converge, and how accurate they are then: the form of Frankle & Carbin 2018, Figures 5 to 16."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.experiment.spec_analysis import Convergence, EarlyStop, Settles
from pipeline.lottery.counting import count_of
from pipeline.report.analysis.convergence import CONVERGENCE, convergence_curves
from pipeline.report.charts.chart import Axis, Chart, ends, numbers, percent
from pipeline.report.charts.columns import Columns, Places, band_fields, edges_of, places_of, spread_in_words
from pipeline.report.charts.curves import dense_level
from pipeline.report.charts.lines import LEFT, Looks, across, look_of, own_lines, range_of_differences
from pipeline.report.findings import Findings
from pipeline.report.histories import HISTORIES
from pipeline.report.sections.section import Fragment, Section
from pipeline.report.stills.panels import panels_figure
from pipeline.report.wording import margin_points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WEIGHTS = Axis("weights that survive", "weights")
ITERATIONS = Axis("iterations to convergence")
ACCURACY_THEN = Axis("test accuracy at convergence (%)", unit="%")
CURVE = ["target", "source", "ticket"]
MISSED = ["n_not_converged", "n_diverged"]
FIELDS = ("round", "seeds that converged", "that did not", "of them diverged")
"""Of the hover over a point of convergence."""


def convergence_charts(findings: Findings) -> list[Chart]:
    """For each target two charts: iterations to convergence, and test accuracy then, against weights remaining.

    Two more join targets that differ in the settings of their model alone, each with the tickets of its own sources
    (Frankle & Carbin 2018, Figures 11 to 14), against the number of weights where the models differ in size. Means are
    over the seeds that converged; a point without one is not there.
    """
    means = convergence_curves(findings.results, findings.of(CONVERGENCE))
    means = means[means["mean"].notna() & (means["survivors"] > 0)]
    means = means.sort_values("survivors", ascending=False, kind="stable").reset_index(drop=True)
    spread = findings.spec.analysis.spread
    looks, places = Looks.of(findings), places_of(means, CURVE)
    left = numbers(100 * means["survivors"] / means["total"])
    missed = [[count or None for count in means[name].tolist()] for name in MISSED]
    more = [means["round"].tolist(), means["n"].tolist(), *missed]
    marked = (means["n_diverged"] > 0).tolist()
    times, accuracies = (
        Columns(left, shown(means[f"mean{of}"]), edges_of(spread, means, shown, of), more, marked=marked)
        for shown, of in ((numbers, ""), (percent, "_accuracy"))
    )
    charts = _joined(findings, times, accuracies, places, means["survivors"].tolist())
    for number, target in enumerate(dict.fromkeys(findings.results["target"])):
        said = f"{target} has converged ({spread_in_words(spread)}); of tickets pruned the most"
        for name, axis, columns, unit, words in (
            (f"convergence-{number}", ITERATIONS, times, " iterations", f"Iterations until training on {said}"),
            (f"converged-{number}", ACCURACY_THEN, accuracies, " %", f"Test accuracy when training on {said}"),
        ):
            series = looks.series(target, columns, places)
            if series:
                alternative = f"{words}: {ends(series, unit)}."
                dense = dense_level(columns, places, target)
                least = min(one.x[-1] for one in series)
                for level in dense:
                    across(level, least)
                    level.role = "level"
                fields = (*FIELDS, *band_fields(spread, axis.unit))
                charts.append(Chart(name, f"target: {target}", alternative, LEFT, axis, [*series, *dense], fields))
                charts[-1].zoom = range_of_differences(charts[-1].series) if axis is ACCURACY_THEN else None
    return charts


def _joined(
    findings: Findings, times: Columns, accuracies: Columns, places: Places, survivors: Sequence[int]
) -> list[Chart]:
    """Charts of targets that differ in nothing but the settings of one model, where there are several.

    Their lines are the tickets of the targets' own sources. `survivors`: weights of each row of the columns.
    """
    own = own_lines(findings)
    alike: dict[tuple[str, str, str], list[str]] = {}
    for target in findings.spec.targets:
        if any(target.name == of for of, _ in own):
            settings = target.model.name, target.dataset.model_dump_json(), target.training.model_dump_json()
            alike.setdefault(settings, []).append(target.name)
    charts = []
    for number, targets in enumerate(targets for targets in alike.values() if len(targets) > 1):
        sizes = findings.results[findings.results["target"].isin(targets)].groupby("target")["total"].max()
        x = WEIGHTS if sizes.nunique() > 1 else LEFT
        lines = [
            (line, places[target, source, ticket])
            for (source, ticket), line in look_of(findings).items()
            for target in targets
            if (target, source) in own and (target, source, ticket) in places
        ]
        for name, axis, columns, words in (
            (f"convergence-together-{number}", ITERATIONS, times, "Iterations until training has converged"),
            (f"converged-together-{number}", ACCURACY_THEN, accuracies, "Test accuracy when training has converged"),
        ):
            series = [columns.series(line.label, at) for line, at in lines]
            for one, (line, at) in zip(series, lines, strict=True):
                one.line, one.own = line, True
                one.x = one.x if x is LEFT else [survivors[place] for place in at]
            if series:
                tickets = count_of(len(series), "ticket")
                alternative = f"{words}, of {tickets} on targets of their own: {ends(series, axis.unit)}."
                fields = (*FIELDS, *band_fields(findings.spec.analysis.spread, axis.unit))
                charts.append(Chart(name, f"{len(targets)} targets together", alternative, x, axis, series, fields))
    return charts


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
    converged = findings.of(CONVERGENCE)["converged"]
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


def _page(findings: Findings) -> Fragment:
    charts = convergence_charts(findings)
    values = {
        "convergence": charts,
        "rule": in_words(findings.spec.analysis.convergence),
        "unjudged": unjudged(findings),
        "judged": bool(findings.of(CONVERGENCE)["converged"].notna().any()),
    }
    return Fragment(values, charts)


def convergence_figure(findings: Findings) -> Figure | None:
    """Iterations to convergence and test accuracy then, against weights remaining; a row a target."""
    spread = spread_in_words(findings.spec.analysis.spread)
    title = f"{findings.name}: iterations to convergence, and accuracy then,\n{spread}"
    return panels_figure(convergence_charts(findings), title, columns=2)


SECTION = Section(
    "convergence",
    "Convergence",
    "Convergence",
    _page,
    computed=(HISTORIES, CONVERGENCE),
    stills={"convergence": convergence_figure},
)
