"""When trainings converge, by either rule, against hand calculations and against the definition spelled out."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from pipeline.experiment.spec_analysis import EarlyStop, MovingAverage, Settles
from pipeline.report.analysis.convergence import COLUMNS, convergence, convergence_curves
from pipeline.report.rows import rows_of

PER_EPOCH = 50


def history(accuracies: Any, every: int = 100, stage: str = "s", start: int = 0, moments: Any = None) -> pd.DataFrame:
    iteration = np.array(moments) if moments is not None else start + every * np.arange(1, len(accuracies) + 1)
    return pd.DataFrame(
        {
            "stage": pd.Series([stage] * len(iteration), dtype="string"),
            "iteration": iteration,
            "epoch": iteration / PER_EPOCH,
            "train_loss": 0.1,
            "test_loss": 0.2,
            "test_accuracy": np.array(accuracies, dtype="float64"),
        }
    )


UNTOLD = "the rule cannot tell"


def moment(rule: Any, *args: Any, **more: Any) -> Any:
    """Iteration of convergence, None without, or UNTOLD."""
    table = convergence(history(*args, **more), rule)
    assert table["converged"].dtype == "boolean"
    (row,) = rows_of(table)
    if row.converged is pd.NA or not row.converged:
        assert math.isnan(row.iteration)
        return UNTOLD if row.converged is pd.NA else None
    return row.iteration


def averaged(window: int, tolerance: float, patience: int) -> MovingAverage:
    return MovingAverage.model_validate({"window": f"{window}it", "tolerance": tolerance, "patience": f"{patience}it"})


def test_settled_is_the_first_record_from_which_on_all_are_near_the_last() -> None:
    """0.90 is within 0.01 of the last but is left again; 0.895 is the first to stay."""
    assert moment(Settles(), [0.5, 0.9, 0.8, 0.895, 0.91, 0.9]) == 400


def test_exactly_the_tolerance_is_near_whatever_the_rounding() -> None:
    assert 0.93 - 0.92 > 0.01  # in floating point
    assert moment(Settles(), [0.5, 0.92, 0.93]) == 200


@pytest.mark.parametrize("rule", [Settles(), MovingAverage(), EarlyStop()], ids=lambda rule: rule.name)
def test_a_network_that_is_only_evaluated_cannot_be_judged_and_has_not_diverged(rule: Any) -> None:
    """It has one record, at iteration 0, without a loss of training. Without a test loss it has diverged."""
    evaluated = history([0.9], moments=[0]).assign(train_loss=np.nan, validation_loss=0.3)
    assert convergence(evaluated, rule)["converged"].isna().all()
    assert not convergence(evaluated.assign(test_loss=np.nan), rule)["converged"].any()
    assert convergence(evaluated.assign(test_loss=np.nan), rule)["converged"].notna().all()
    assert convergence(evaluated.assign(iteration=100, epoch=2.0), rule)["converged"].notna().all(), "it was trained"


def test_settled_only_at_the_last_of_several_records_is_not_converged() -> None:
    assert moment(Settles(), [0.5, 0.7, 0.9]) is None


def test_a_single_record_cannot_tell() -> None:
    assert moment(Settles(), [0.9]) == UNTOLD
    assert moment(averaged(100, 0.01, 100), [0.8]) == UNTOLD


@pytest.mark.parametrize("loss", ["train_loss", "test_loss"])
def test_a_training_that_ends_without_a_finite_loss_is_not_converged_however_constant_its_accuracy(loss: Any) -> None:
    """Also a short one: what diverged will not converge. A loss that is finite again in the end is none."""
    for rule, records in ((Settles(), 6), (averaged(100, 0.01, 100), 6), (MovingAverage(), 6), (Settles(), 1)):
        diverged, fine = history([0.1] * records), history([0.9] * 30, stage="fine")
        diverged.loc[records - 1, loss] = fine.loc[3, loss] = np.nan
        assert list(convergence(pd.concat([fine, diverged]), rule)["converged"]) == [True, False]


def test_a_converged_training_has_iteration_epoch_and_accuracy_of_its_moment() -> None:
    table = convergence(history([0.5, 0.9, 0.9]), Settles())
    assert list(table.columns) == COLUMNS
    assert table.iloc[0].to_list() == ["s", True, 200.0, 4.0, 0.9]


def test_one_that_did_not_has_none() -> None:
    row = convergence(history([0.5, 0.9]), Settles()).iloc[0]
    assert not row["converged"]
    assert row[["iteration", "epoch", "accuracy"]].isna().all()


def test_trainings_are_judged_one_by_one_in_their_order_and_whatever_the_order_of_records() -> None:
    first, second = history([0.1, 0.9, 0.9], stage="z"), history([0.3, 0.5], stage="a")
    table = convergence(pd.concat([first[::-1], second]), Settles())
    assert list(table["stage"]) == ["z", "a"]
    assert list(table["converged"]) == [True, False]
    assert table["iteration"].iloc[0] == 200


def test_no_histories_are_an_empty_table() -> None:
    for rule in (Settles(), MovingAverage()):
        assert list(convergence(history([]), rule).columns) == COLUMNS
        assert convergence(history([]), rule).empty


def test_the_moving_average_of_frankle_and_carbin_by_hand() -> None:
    """Every 100 iterations, window 1,000: at t the mean of the last ten. A step from 0 to 1 after iteration 1,000 makes
    averages of 0.1 at 1,100 to 1.0 at 2,000; from there on nothing changes, and 1,000 further iterations pass by 3,000.
    """
    accuracies = [0.0] * 10 + [1.0] * 20
    assert moment(MovingAverage(), accuracies) == 2000
    assert moment(MovingAverage(), accuracies[:-1]) is None  # only 900 iterations of patience from there


def test_a_change_below_the_tolerance_is_none_and_one_of_the_tolerance_is_one() -> None:
    """Window and records of 100: the average is the record. 0.898 differs from 0.9 by 0.002 exactly, 0.8981 by less."""
    rule = averaged(100, 0.002, 200)
    assert moment(rule, [0.898, 0.9, 0.9, 0.9]) == 200
    assert moment(rule, [0.8981, 0.9, 0.9, 0.9]) == 100


def test_the_moment_is_where_the_patience_begins_and_later_changes_do_not_count() -> None:
    assert moment(averaged(100, 0.01, 200), [0.5, 0.8, 0.8, 0.8, 0.3, 0.9]) == 200


def test_there_is_no_average_before_a_whole_window_has_passed() -> None:
    """A window of 300 is first whole at 300, where the mean of three records is compared."""
    assert moment(averaged(300, 0.01, 100), [0.8] * 6) == 300


def test_a_training_that_begins_late_has_no_window_from_before() -> None:
    """What was left of the schedule after iteration 1,000: records at 1,100, 1,200, ..."""
    assert moment(averaged(300, 0.01, 100), [0.8] * 6, start=1000) == 1300


def test_of_a_training_shorter_than_window_and_patience_the_rule_cannot_tell() -> None:
    assert moment(averaged(300, 0.01, 300), [0.8] * 6) == 300
    assert moment(averaged(300, 0.01, 300), [0.1, 0.2, 0.4, 0.5, 0.7, 0.8]) is None
    assert moment(averaged(300, 0.01, 301), [0.8] * 6) == UNTOLD
    assert moment(averaged(1000, 0.01, 100), [0.8] * 6) == UNTOLD


def test_records_further_apart_than_the_patience_cannot_tell() -> None:
    assert moment(averaged(100, 0.01, 50), [0.8] * 6) == UNTOLD


def test_an_accuracy_that_is_not_there_is_not_converged() -> None:
    assert moment(averaged(100, 0.01, 100), [np.nan, np.nan]) is None
    assert moment(Settles(), [0.9, np.nan]) is None


def test_epochs_of_the_rule_are_those_of_each_training() -> None:
    rule = MovingAverage.model_validate({"window": "1ep", "tolerance": 0.01, "patience": "2ep"})
    short, long = history([0.1] + [0.8] * 4, every=50), history([0.1] + [0.8] * 4, every=100, stage="l")
    long["epoch"] = long["iteration"] / 100
    assert list(convergence(pd.concat([short, long]), rule)["iteration"]) == [100, 200]


def validated(losses: Any, **more: Any) -> pd.DataFrame:
    return history([0.8 + 0.01 * place for place in range(len(losses))], **more).assign(validation_loss=losses)


def test_early_stopping_is_at_the_smallest_validation_loss_the_first_of_equals() -> None:
    (row,) = rows_of(convergence(validated([0.9, 0.4, 0.6, 0.4, 0.5]), EarlyStop()))
    assert (row.converged, row.iteration, row.epoch, row.accuracy) == (True, 200, 4, 0.81)


def test_a_validation_loss_that_still_falls_in_the_end_is_converged_there() -> None:
    """Unlike with `settles`, the last record is as good as any other."""
    (row,) = rows_of(convergence(validated([0.9, 0.5, 0.4]), EarlyStop()))
    assert (row.converged, row.iteration) == (True, 300)


def test_records_without_a_validation_loss_are_passed_over() -> None:
    (row,) = rows_of(convergence(validated([np.nan, 0.5, 0.6]), EarlyStop()))
    assert (row.converged, row.iteration) == (True, 200)


def test_early_stopping_cannot_tell_without_validation_images_or_of_a_single_record() -> None:
    for losses in ([np.nan] * 3, [0.4]):
        (row,) = rows_of(convergence(validated(losses), EarlyStop()))
        assert row.converged is pd.NA
        assert math.isnan(row.iteration)


def test_only_a_diverged_training_is_not_converged_by_early_stopping() -> None:
    diverged = validated([0.9, 0.4, np.nan], stage="diverged")
    diverged.loc[2, "train_loss"] = np.nan
    never = validated([np.nan] * 3, stage="never").assign(train_loss=np.nan)
    table = convergence(pd.concat([diverged, never, validated([0.9, 0.4, 0.5])]), EarlyStop())
    assert list(table["converged"]) == [False, False, True]
    assert table["iteration"].isna().to_list() == [True, True, False]


records = some.lists(some.sampled_from([0.80, 0.81, 0.815, 0.82, 0.9]), min_size=1, max_size=25)


def by_definition(accuracies: Any, every: int, window: int, tolerance: float, patience: int) -> Any:
    at = [every * (number + 1) for number in range(len(accuracies))]
    # what the rule is asked about: a whole window before, the whole patience after, and a record in it
    asked = [t for t in at if t >= window and t + patience <= at[-1] and any(t < u <= t + patience for u in at)]
    if not asked:
        return UNTOLD
    average = {
        t: np.mean([a for u, a in zip(at, accuracies, strict=True) if t - window < u <= t]) for t in at if t >= window
    }
    for t in asked:
        later = [value for u, value in average.items() if t < u <= t + patience]
        if all(abs(value - average[t]) < tolerance - 1e-9 for value in later):
            return t
    return None


@settings(deadline=None)
@given(
    records, some.integers(1, 5), some.integers(1, 5), some.sampled_from([0.004, 0.0101, 0.021]), some.integers(0, 99)
)
def test_the_moving_average_is_its_definition(
    accuracies: Any, window: Any, patience: Any, tolerance: Any, odd: Any
) -> None:
    rule = averaged(100 * window + odd, tolerance, 100 * patience)
    expected = by_definition(accuracies, 100, 100 * window + odd, tolerance, 100 * patience)
    assert moment(rule, accuracies) == expected
    # beside another training the same
    both = convergence(pd.concat([history([0.1] * 30, stage="o"), history(accuracies)]), rule)
    number = math.nan if expected in (None, UNTOLD) else expected
    assert both.iloc[1]["iteration"] == pytest.approx(number, nan_ok=True)
    assert both["converged"].to_list()[1] is (pd.NA if expected == UNTOLD else expected is not None)


def results(*stages: str, status: str = "ok") -> pd.DataFrame:
    names = dict.fromkeys(["experiment", "model", "source", "target", "source_optimizer", "target_optimizer"], "x")
    numbers = {"round": 1, "fraction_pruned": 0.5, "survivors": 50, "total": 100, "ticket": "winning", "status": status}
    return pd.DataFrame([{**names, **numbers, "seed": seed, "stage": stage} for seed, stage in enumerate(stages)])


def test_curves_of_convergence_are_over_the_seeds_that_converged() -> None:
    converged = pd.concat(
        [
            history(values, stage=name)
            for name, values in (("a", [0.1, 0.9, 0.9]), ("b", [0.9, 0.9, 0.9]), ("c", [0.1, 0.5, 0.9]))
        ]
    )
    (row,) = rows_of(convergence_curves(results("a", "b", "c", "unread"), convergence(converged, Settles())))
    assert (row.mean, row.n, row.n_not_converged) == (150, 2, 1)
    assert row.std == pytest.approx(np.std([200, 100], ddof=1))


def test_accuracy_at_convergence_is_over_the_same_seeds() -> None:
    histories = pd.concat(
        [
            history(values, stage=name)
            for name, values in (("a", [0.1, 0.8, 0.81]), ("b", [0.9, 0.9, 0.9]), ("c", [0.1, 0.5, 0.99]))
        ]
    )
    (row,) = rows_of(convergence_curves(results("a", "b", "c"), convergence(histories, Settles())))
    assert (row.n, row.mean_accuracy) == (2, pytest.approx(0.85))
    assert row.std_accuracy == pytest.approx(np.std([0.8, 0.9], ddof=1))
    assert (row.least_accuracy, row.greatest_accuracy) == (0.8, 0.9)
    assert (row.least, row.greatest) == (100, 200)


def test_draws_are_averaged_within_their_seed_and_extremes_are_of_single_draws() -> None:
    """Seed 0 has draws at 0.8 and 0.9; one of seed 1's two draws does not converge, and neither of them counts."""
    histories = pd.concat(
        [
            history(values, stage=name)
            for name, values in (
                ("a", [0.1, 0.8, 0.8]),
                ("b", [0.9, 0.9, 0.9]),
                ("c", [0.7] * 3),
                ("d", [0.1, 0.5, 0.9]),
            )
        ]
    )
    drawn = results("a", "b", "c", "d").assign(seed=[0, 0, 1, 1])
    (row,) = rows_of(convergence_curves(drawn, convergence(histories, Settles())))
    assert (row.n, row.n_not_converged, row.mean, row.mean_accuracy) == (1, 1, 150, pytest.approx(0.85))
    assert (row.least, row.greatest, row.least_accuracy, row.greatest_accuracy) == (100, 200, 0.8, 0.9)
    assert math.isnan(row.std_accuracy)


def test_a_seed_of_several_runs_has_converged_when_all_of_them_have() -> None:
    histories = pd.concat([history([0.1, 0.9, 0.9], stage="a"), history([0.1, 0.5, 0.9], stage="b")])
    nested = results("a", "b").assign(seed=0)
    (row,) = rows_of(convergence_curves(nested, convergence(histories, Settles())))
    assert (row.n, row.n_not_converged) == (0, 1)


def test_a_curve_of_which_no_history_was_read_has_no_seeds() -> None:
    (row,) = rows_of(convergence_curves(results("unread"), convergence(history([0.9]), Settles())))
    assert (row.n, row.n_not_converged, row.n_diverged) == (0, 0, 0)
    assert math.isnan(row.mean)


def test_a_diverged_training_is_not_the_fastest_to_converge() -> None:
    """Its accuracy is that of chance from the first record on, and so never changes."""
    histories = pd.concat([history([0.1, 0.9, 0.9], stage="a"), history([0.1, 0.1, 0.1], stage="b")])
    both = pd.concat([results("a"), results("b", status="diverged").assign(seed=1)])
    (row,) = rows_of(convergence_curves(both, convergence(histories, Settles())))
    assert (row.mean, row.n, row.n_not_converged, row.n_diverged) == (200, 1, 1, 1)
    unread = convergence(history([0.1, 0.9, 0.9], stage="a"), Settles())
    (row,) = rows_of(convergence_curves(both, unread))
    assert (row.n, row.n_not_converged, row.n_diverged) == (1, 1, 1)


def test_a_training_of_which_the_rule_cannot_tell_is_not_counted_as_one_that_failed() -> None:
    histories = pd.concat([history([0.8] * 6, stage="a"), history([0.8] * 2, stage="short")])
    judged = convergence(histories, averaged(300, 0.01, 300))
    (row,) = rows_of(convergence_curves(results("a", "short"), judged))
    assert (row.mean, row.n, row.n_not_converged, row.n_diverged) == (300, 1, 0, 0)
