"""What bands are, a standard deviation or the whole range, and that every place says which."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from pipeline.experiment.spec_analysis import EarlyStop
from pipeline.report.charts.curves import pruning_curves
from pipeline.report.findings import Findings
from pipeline.report.page.rendering import render
from pipeline.report.sections.convergence import convergence_charts, convergence_figure
from pipeline.report.sections.curves import curves_figure
from pipeline.report.sections.learning import learning_curves, learning_figure

STD, RANGE = "mean ±1 std over seeds", "mean over seeds, least and greatest of all runs"


def drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def reading(findings: Findings, **fields: Any) -> Any:
    """The same findings, read in another way."""
    analysis = findings.spec.analysis.model_copy(update=fields)
    return replace(findings, spec=findings.spec.model_copy(update={"analysis": analysis}))


@pytest.fixture(scope="module")
def findings(findings_of: Callable[..., Findings]) -> Any:
    return findings_of()


@pytest.fixture(scope="module")
def ranged(findings: Findings) -> Any:
    return reading(findings, spread="range")


def rows_of(results: pd.DataFrame, source: str, target: str) -> Any:
    return results[(results["source"] == source) & (results["target"] == target)]


def charts_of(findings: Findings) -> Any:
    return [*pruning_curves(findings), *learning_curves(findings, 0.0115), *convergence_charts(findings)]


def test_a_range_goes_from_the_least_to_the_greatest_run(ranged: Any) -> None:
    one = pruning_curves(ranged)[1].series[0]
    runs = rows_of(ranged.results, "set-0", "set-1").groupby("round")["test_accuracy"]
    assert list(one.low or []) == pytest.approx(list(100 * runs.min()), abs=1e-3)
    assert list(one.high or []) == pytest.approx(list(100 * runs.max()), abs=1e-3)
    assert list(one.y) == pytest.approx(list(100 * runs.mean()), abs=1e-3)


def test_a_range_of_learning_curves_is_of_all_trainings(ranged: Any) -> None:
    one = learning_curves(ranged, 0.0115)[0].series[0]
    here = rows_of(ranged.results, "set-0", "set-0")
    records = ranged.computed["histories"][
        ranged.computed["histories"]["stage"].isin(here.loc[here["round"] == 20, "stage"])
    ]
    runs = records.groupby("iteration")["test_accuracy"]
    assert list(one.low or []) == pytest.approx(list(100 * runs.min()), abs=1e-3)
    assert list(one.high or []) == pytest.approx(list(100 * runs.max()), abs=1e-3)


def test_lines_have_one_kind_of_band_and_the_means_do_not_change(findings: Findings, ranged: Any) -> None:
    for before, after in zip(charts_of(findings), charts_of(ranged), strict=True):
        for one, other in zip(before.series, after.series, strict=True):
            assert (one.spread is None, one.low, one.high) == (False, None, None)
            assert (other.spread, other.low is None, other.high is None) == (None, False, False)
            assert one.y == other.y
            assert len(other.more) == len(after.fields) == len(before.fields) + 2


def test_the_hover_names_the_least_and_the_greatest(ranged: Any) -> None:
    for chart in charts_of(ranged):
        assert [field.split(",")[0] for field in chart.fields[-2:]] == ["least of all runs", "greatest of all runs"]
        for one in chart.series:
            assert list(one.more[-2:]) == [one.low, one.high]


@pytest.mark.parametrize(("spread", "said", "other"), [("std", STD, RANGE), ("range", RANGE, STD)])
def test_titles_and_text_alternatives_say_which(findings: Findings, spread: Any, said: Any, other: Any) -> None:
    read = reading(findings, spread=spread)
    words = [chart.alternative for chart in charts_of(read)]
    words += [" ".join(drawn(figure(read)).get_suptitle().split()) for figure in (curves_figure, convergence_figure)]
    assert all(said in each and other not in each for each in words)


def test_a_still_of_learning_curves_says_when_bands_are_no_standard_deviation(findings: Findings, ranged: Any) -> None:
    assert RANGE in drawn(learning_figure(ranged)).get_suptitle()
    assert RANGE not in drawn(learning_figure(findings)).get_suptitle()


def test_captions_say_which(findings: Findings, ranged: Any) -> None:
    for read, said, count in ((findings, "±1 standard deviation", 4), (ranged, "least to the greatest of all runs", 3)):
        text = re.sub(r"<script.*?</script>", "", render(read), flags=re.DOTALL)
        assert " ".join(text.split()).count(said) == count  # overlap has a standard deviation always
    assert "±1 standard deviation" in text


def test_accuracy_at_convergence_is_beside_its_time(findings: Findings) -> None:
    charts = convergence_charts(findings)
    assert [chart.id for chart in charts] == ["convergence-0", "converged-0", "convergence-1", "converged-1"]
    for time, accuracy in zip(charts[::2], charts[1::2], strict=True):
        assert [one.name for one in time.series] == [one.name for one in accuracy.series]
        for one, other in zip(time.series, accuracy.series, strict=True):
            assert (one.x, one.role, one.more) == (other.x, other.role, other.more)
    own = rows_of(findings.results, "set-0", "set-0")
    moments = own["stage"].map(findings.computed["convergence"].set_index("stage")["accuracy"])
    expected = list(100 * moments.groupby(own["round"]).mean())
    assert list(charts[1].series[0].y) == pytest.approx(expected, abs=1e-3)
    titles = [axes.get_ylabel() for axes in drawn(convergence_figure(findings)).axes if axes.get_title()]
    assert titles == ["iterations to convergence", "test accuracy at convergence (%)"] * 2


def test_the_page_says_what_early_stopping_is(findings: Findings) -> None:
    text = render(reading(findings, convergence=EarlyStop()))
    assert "the record with the smallest loss on the validation images, where early stopping would end" in text
    untold = replace(
        findings,
        computed=findings.computed
        | {"convergence": findings.computed["convergence"].assign(converged=None, iteration=float("nan"))},
    )
    untold.computed["convergence"]["converged"] = untold.computed["convergence"]["converged"].astype("boolean")
    text = render(reading(untold, convergence=EarlyStop()))
    assert "there are no validation images (dataset: {validation: n}), or the training has a single record." in text
