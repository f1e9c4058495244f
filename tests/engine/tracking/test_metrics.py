"""What a stage's record gives a run of MLflow."""

from pipeline.engine.store.records import Record
from pipeline.engine.tracking.metrics import Measurement

RECORD = Record(
    key="",
    fields={},
    status="ok",
    outputs={},
    inputs={},
    started=1.0,
    finished=3.0,
    seconds=2.0,
    summary={"test_accuracy": 0.9, "test_loss": None},
)


def test_what_is_measured_is_logged_and_what_is_no_number_is_not() -> None:
    assert Measurement.of(RECORD).metrics == {"test_accuracy": 0.9, "seconds": 2.0}


def test_the_moment_of_early_stopping_is_logged_where_there_is_one() -> None:
    stop = {"iteration": 40, "epoch": 2.0, "validation_loss": 0.3, "test_accuracy": 0.8}
    metrics = Measurement.of({**RECORD, "summary": {**RECORD["summary"], "early_stop": stop}}).metrics
    assert (metrics["early_stop_iteration"], metrics["early_stop_test_accuracy"]) == (40, 0.8)
