"""Damage that only the report meets: named, made again by the run itself, and never left out without a word."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pipeline.cli import report
from pipeline.engine import driver
from pipeline.engine.store import Store
from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load

OPTIONS = ("run", "tiny.yaml", "--local", "--tracking", "none")


def flip(path: Path) -> str:
    """A bit of equal size and time, which no listing shows; its path in the store."""
    at = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
    return "/".join(path.parts[-3:])


@pytest.fixture
def damaged(finished: Path) -> tuple[str, str]:
    """A history and a mask of the finished grid, whose report is gone."""
    (finished / "reports/tiny/.contents.json").unlink()
    store = finished / ".tickets/store"
    return flip(next(store.glob("outputs/*/history.*"))), flip(next(store.glob("outputs/*/mask.*")))


def test_a_run_makes_again_what_its_report_finds_damaged(tickets: Callable[..., Any], damaged: tuple[str, str]) -> None:
    said = tickets(*OPTIONS)
    assert said.code == 0, said
    for path in damaged:
        assert f"damaged: {path} does not match its SHA-256" in said.out
    assert "3 stages run" in said.out and said.out.count("Report: ") == 1
    assert tickets("verify").code == 0
    assert "damaged" not in tickets("report", "tiny").out


def test_a_report_names_what_is_damaged_and_the_next_run_makes_it(
    tickets: Callable[..., Any], damaged: tuple[str, str], finished: Path
) -> None:
    said = tickets("report", "tiny")
    assert said.code == 1 and all(path in said.out for path in damaged)
    assert all(path in (finished / "reports/tiny/report.html").read_text() for path in damaged)
    assert "3 stages run" in tickets(*OPTIONS).out
    assert tickets("report", "tiny").code == 0 and tickets("verify").code == 0


def test_a_store_that_goes_away_during_the_report_is_no_mistake_of_the_users(
    tickets: Callable[..., Any], damaged: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.engine.store.patience import StoreAwayError

    def away(*_: object) -> bytes:
        raise StoreAwayError("The store has not answered for 300 s")

    monkeypatch.setattr(Store, "read", away)
    said = tickets(*OPTIONS)
    assert said.code == 75 and "has not answered" in said.err and "Traceback" not in said.err


def last_training(folder: Path) -> Path:
    """The record of a training that nothing else reads."""
    grid = expand(load("tiny.yaml"))
    read = {each.stage for stage in grid.stages.values() for each in stage.inputs.values()}
    key = next(point.stage for point in grid.points if point.stage not in read)
    return folder / ".tickets/store/done" / f"{key}.json"


def test_a_report_names_a_damaged_record_and_the_next_run_makes_it(tickets: Callable[..., Any], finished: Path) -> None:
    flip(record := last_training(finished))
    said = tickets("report", "tiny")
    assert said.code == 1 and f"damaged: done/{record.name} " in said.out, said
    assert record.name in (finished / "reports/tiny/report.html").read_text()
    assert tickets(*OPTIONS).code == 0
    assert tickets("report", "tiny").code == 0 and measured() == 10


@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_a_record_that_is_lost_before_the_report_is_made_again_by_the_run(
    tickets: Callable[..., Any], finished: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], Any]
) -> None:
    run, record, seen = driver.run, last_training(finished), list[int]()

    def damaging(*arguments: Any) -> Any:
        seen.append(measured())  # a whole report stays until there is another
        summary = run(*arguments)
        if len(seen) == 1:
            damage(record)
        return summary

    monkeypatch.setattr(driver, "run", damaging)
    said = tickets(*OPTIONS)
    assert said.code == 0 and said.out.count(f"damaged: done/{record.name} ") == 1, said
    assert seen == [10, 10] and measured() == 10 and said.out.count("Report: ") == 1


def test_a_record_that_is_lost_again_and_again_is_no_success(
    tickets: Callable[..., Any], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, record = driver.run, last_training(finished)

    def losing(*arguments: Any) -> Any:
        summary = run(*arguments)
        record.unlink()
        return summary

    monkeypatch.setattr(driver, "run", losing)
    said = tickets(*OPTIONS)
    assert said.code == 1 and said.out.count(f"damaged: done/{record.name} is gone") == 3, said
    assert "1 file of the store is damaged or lost: run the same command again" in said.out.replace("\n", " ")


def measured() -> int:
    return int(pd.read_parquet("reports/tiny/results.parquet")["test_accuracy"].notna().sum())


def test_what_a_watched_report_finds_damaged_is_said_though_it_is_mended_meanwhile(
    tickets: Callable[..., Any], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finished / "reports/tiny/.contents.json").unlink()
    history = next(finished.glob(".tickets/store/outputs/*/history.*"))
    content, name = history.read_bytes(), flip(history)

    def mended(seconds: float) -> None:
        history.parent.mkdir(exist_ok=True)
        history.write_bytes(content)
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "time", SimpleNamespace(sleep=mended, strftime=time.strftime))
    said = tickets("report", "tiny.yaml", "--set", "seeds=[0, 1, 2]", "--watch")
    assert said.code == 1 and said.out.count(f"damaged: {name} ") == 1, said


def test_a_store_that_cannot_be_read_is_no_folder_of_reports_that_cannot_be_written(
    tickets: Callable[..., Any], damaged: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied", damaged[0])

    monkeypatch.setattr(Store, "read", refused)
    said = tickets("report", "tiny")
    assert said.code == 2 and f"{damaged[0]}: Permission denied" in said.err and "cannot be written" not in said.err


def test_what_sync_finds_damaged_for_its_report_is_said(
    tickets: Callable[..., Any], damaged: tuple[str, str], finished: Path
) -> None:
    said = tickets("sync", "tiny.yaml")
    assert said.code == 1 and all(f"damaged: {path} " in said.out for path in damaged), said
    assert "has all of 'tiny'" in said.out
