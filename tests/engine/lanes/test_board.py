"""The board leases each stage once, longest path first, and takes back what is lost."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from pipeline.engine.lanes.board import Board
from pipeline.engine.lanes.leases import Lease, Progress
from pipeline.engine.lanes.outcomes import Outcome
from pipeline.engine.store.records import Record
from pipeline.experiment.stages import Shape, Stage
from pipeline.recipes.keys import key_of
from pipeline.recipes.references import Reference

RECORD: Record = {"key": "", "fields": {}, "status": "ok", "outputs": {}, "inputs": {}, "summary": {}, "finished": 0.0}
DONE = Outcome("done", record=RECORD)
WIDE = Shape(workers=4)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def stage(name: str, *parents: Stage, iterations: int = 10, shape: Shape | None = None) -> Stage:
    inputs: Mapping[str, Reference] = {f"in{i}": Reference(parent.key, "final") for i, parent in enumerate(parents)}
    return Stage(key_of({"name": name}), "train", inputs, name, iterations, shape=shape or Shape())


def board_of(*stages: Stage, **options: Any) -> Board:
    return Board(stages, {each.key: frozenset({"final"}) for each in stages}, **options)


def finish(board: Board, lease: object, session: int = 1, outcome: Outcome = DONE) -> bool:
    assert isinstance(lease, Lease)
    return board.complete(lease.lane, session, lease.id, outcome)


def run_all(board: Board, lane: str = "a") -> list[str]:
    session, order = board.hello(lane, Shape()), []
    while isinstance(lease := board.lease(lane, session), Lease):
        order.append(lease.stage.label)
        finish(board, lease, session)
    assert lease == "return"
    return order


def test_a_stage_is_leased_after_its_parents_and_the_longest_path_goes_first() -> None:
    first, short = stage("first"), stage("short", iterations=5)
    second = stage("second", first)
    third = stage("third", second)
    assert run_all(board_of(short, first, second, third)) == ["first", "second", "third", "short"]


def test_while_others_work_a_lane_waits_and_when_all_is_done_it_returns() -> None:
    first = stage("first")
    board = board_of(first, stage("second", first))
    a, b = board.hello("a", Shape()), board.hello("b", Shape())
    lease = board.lease("a", a)
    assert board.lease("b", b) == "wait"
    finish(board, lease)
    assert isinstance(board.lease("b", b), Lease)
    assert board.lease("a", a) == "wait"


def test_a_replaced_worker_gives_its_lease_back_and_its_old_completion_is_dropped() -> None:
    board = board_of(stage("only"))
    old = board.hello("a", Shape())
    lease = board.lease("a", old)
    new = board.hello("a", Shape())
    assert finish(board, lease, old) is False
    again = board.lease("a", new)
    assert isinstance(again, Lease) and again.attempt == 2
    assert board.lease("a", old) == "return"
    assert finish(board, again, new) and board.counts.done == 1


def test_a_lease_without_heartbeat_comes_back_after_the_timeout_and_its_lane_is_named() -> None:
    clock = Clock()
    board = board_of(stage("only"), lease_timeout=60, clock=clock)
    a, b = board.hello("a", Shape()), board.hello("b", Shape())
    lease = board.lease("a", a)
    clock.now = 59
    assert board.expired() == [] and board.heartbeat("a", a, Progress(3))
    clock.now = 118
    assert board.expired() == []
    clock.now = 120
    assert [lane.name for lane in board.expired()] == ["a"]
    assert isinstance(board.lease("b", b), Lease)
    assert board.heartbeat("a", a, Progress()) is False
    assert finish(board, lease, a) is False


def test_a_failing_stage_is_retried_by_class_then_its_descendants_are_skipped_and_the_rest_goes_on() -> None:
    bad, good = stage("bad"), stage("good")
    board = board_of(bad, stage("child", bad), good)
    session, attempts = board.hello("a", Shape()), []
    while isinstance(lease := board.lease("a", session), Lease):
        attempts.append(lease.stage.label)
        error = Outcome("failed", error_class="exception", message="boom")
        finish(board, lease, session, error if lease.stage.label == "bad" else DONE)
    assert sorted(attempts) == ["bad", "bad", "good"]
    assert list(board.counts.failed) == [bad.key] and "boom" in board.counts.failed[bad.key]
    assert len(board.counts.skipped) == 1 and board.over


def test_fail_fast_stops_at_the_first_failure() -> None:
    board = board_of(stage("bad"), stage("other"), fail_fast=True)
    session = board.hello("a", Shape())
    finish(board, board.lease("a", session), session, Outcome("failed", message="boom"))
    assert board.stopping and board.lease("a", session) == "return"


def test_what_descends_from_a_diverged_stage_is_skipped_without_being_a_failure() -> None:
    root = stage("root")
    board = board_of(root, stage("child", root))
    session = board.hello("a", Shape())
    finish(board, board.lease("a", session), session, Outcome("done", record={**RECORD, "status": "diverged"}))
    assert board.over and not board.counts.failed and board.counts.diverged == 1 and len(board.counts.skipped) == 1


def test_a_stage_claimed_by_another_driver_is_tried_again_later() -> None:
    clock = Clock()
    board = board_of(stage("only"), clock=clock)
    session = board.hello("a", Shape())
    finish(board, board.lease("a", session), session, Outcome("claimed"))
    assert board.lease("a", session) == "wait" and not board.over
    clock.now = 2
    assert isinstance(board.lease("a", session), Lease)


def test_stages_go_only_to_lanes_of_their_shape() -> None:
    board = board_of(stage("wide", shape=WIDE))
    narrow, wide = board.hello("narrow", Shape()), board.hello("wide", WIDE)
    assert board.lease("narrow", narrow) == "wait"
    assert isinstance(board.lease("wide", wide), Lease)


def test_a_drained_lane_returns_at_its_next_boundary() -> None:
    board = board_of(stage("one"), stage("two"))
    session = board.hello("a", Shape())
    lease = board.lease("a", session)
    board.drain("a")
    assert finish(board, lease, session) and board.lease("a", session) == "return"


@pytest.mark.parametrize("kind", ["lost input", "interrupted"])
def test_lost_inputs_and_interruptions_are_not_failures(kind: Literal["lost input", "interrupted"]) -> None:
    board = board_of(stage("only"))
    session = board.hello("a", Shape())
    outcome = Outcome(kind, lost=("parent", "final"))
    finish(board, board.lease("a", session), session, outcome)
    assert not board.counts.failed
    assert board.lost_inputs == ({("parent", "final")} if kind == "lost input" else set())


def test_a_stopping_board_is_over_once_nothing_is_leased_and_wants_no_more_lanes() -> None:
    board = board_of(stage("bad"), stage("other"), stage("third"), fail_fast=True)
    a, b = board.hello("a", Shape()), board.hello("b", Shape())
    bad, other = board.lease("a", a), board.lease("b", b)
    finish(board, bad, a, Outcome("failed", message="boom"))
    assert not board.over and board.demand() == {}, "another stage is still in flight"
    finish(board, other, b, Outcome("interrupted"))
    assert board.over and board.view().demand == {}


def test_a_claimed_stage_becomes_ready_again_without_a_lane_that_asks() -> None:
    clock = Clock()
    board = board_of(stage("only"), clock=clock)
    session = board.hello("a", Shape())
    finish(board, board.lease("a", session), session, Outcome("claimed"))
    assert board.goodbye("a") and not board.goodbye("never said hello")
    clock.now = 2
    assert board.view().demand[Shape()][0] == 1


@pytest.mark.parametrize("part", ["message", "trace"])
def test_an_outcome_has_no_password_of_an_address(part: str) -> None:
    words: dict[str, Any] = {part: "cannot reach s3://key:secret@bucket/store"}
    outcome = Outcome("failed", **words)
    assert "secret" not in outcome.message + outcome.trace and "s3://" in outcome.message + outcome.trace
