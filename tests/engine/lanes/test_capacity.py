"""Which lanes are started and drained: large lanes do not starve, small ones do not flap."""

import pytest

from pipeline.engine.lanes.capacity import AHEAD, PATIENCE, LaneState, check_feasible, decide, lane_limit, room_to_grow
from pipeline.experiment.errors import UserError
from pipeline.experiment.stages import Shape

SMALL, LARGE = Shape(), Shape(workers=4)


def lane(number: int, shape: Shape = SMALL, busy: bool = True, draining: bool = False) -> LaneState:
    return LaneState(f"lane-{number}", shape, busy, draining)


def test_as_many_lanes_as_are_ready_and_fit() -> None:
    assert decide(4, 0, 10, [], {SMALL: (3, 0.0)}).start == (SMALL,) * 3
    assert decide(4, 0, 10, [], {SMALL: (9, 0.0)}).start == (SMALL,) * 4
    assert decide(4, 0, 2, [], {SMALL: (9, 0.0)}).start == (SMALL,) * 2
    assert decide(4, 0, 10, [lane(0), lane(1)], {SMALL: (9, 0.0)}).start == (SMALL,) * 2


def test_an_idle_lane_of_the_shape_is_not_doubled() -> None:
    assert decide(4, 0, 10, [lane(0, busy=False)], {SMALL: (1, 0.0)}).start == ()


def test_a_large_stage_that_waited_too_long_drains_small_lanes_and_nothing_small_slips_in() -> None:
    busy = [lane(n) for n in range(4)]
    demand = {SMALL: (9, 1.0), LARGE: (1, PATIENCE - 1)}
    assert decide(4, 0, 10, busy, demand).drain == ()
    demand = {SMALL: (9, 1.0), LARGE: (1, PATIENCE + 1)}
    assert len(decide(4, 0, 10, busy, demand).drain) == 4
    half_gone = [lane(0, draining=True), lane(1, draining=True)]
    assert decide(4, 0, 10, half_gone, demand).start == ()
    assert decide(4, 0, 10, half_gone, demand).drain == ()
    assert decide(4, 0, 10, [], demand).start == (LARGE,)


def test_idle_lanes_give_way_at_once() -> None:
    idle = [lane(n, busy=False) for n in range(4)]
    assert len(decide(4, 0, 10, idle, {LARGE: (1, 0.0)}).drain) == 4


def test_a_shape_that_never_fits_is_refused_in_words() -> None:
    with pytest.raises(UserError, match="1 GPU each does not fit this cluster, which has 4 CPUs and 0 GPUs"):
        check_feasible([Shape(gpus_per_worker=1)], [(4, 0)])


def test_a_worker_that_fits_no_node_is_refused_though_all_nodes_together_have_enough() -> None:
    check_feasible([Shape(workers=4, cpus_per_worker=2)], [(4, 0), (5, 0)])
    with pytest.raises(UserError, match="does not fit this cluster, which has 8 CPUs and 2 GPUs, on 2 nodes"):
        check_feasible([Shape(gpus_per_worker=2)], [(4, 1), (4, 1)])
    with pytest.raises(UserError, match="on 2 nodes"):
        check_feasible([Shape(workers=3, cpus_per_worker=2)], [(3, 0), (3, 0)])


def test_lanes_give_way_where_only_their_number_is_in_the_way() -> None:
    assert decide(8, 0, 1, [lane(0, busy=False)], {LARGE: (1, 0.0)}).drain == ("lane-0",)
    busy = [lane(0), lane(1)]
    assert decide(9, 0, 2, busy, {SMALL: (5, 0.0), LARGE: (1, PATIENCE - 1)}).drain == ()
    assert len(decide(9, 0, 2, busy, {SMALL: (5, 0.0), LARGE: (1, PATIENCE + 1)}).drain) == 1
    leaving = [lane(0), lane(1, draining=True)]
    assert decide(9, 0, 2, leaving, {SMALL: (5, 0.0), LARGE: (1, PATIENCE + 1)}).drain == ()


def test_idle_lanes_give_way_to_one_that_does_not_get_started() -> None:
    """Two nodes of two CPUs, an idle small lane on each: two CPUs are free, but not for one worker."""
    pair = Shape(cpus_per_worker=2)
    lanes = [lane(0, busy=False), lane(1, busy=False), LaneState("pending", pair, False, False, starting=True)]
    assert decide(4, 0, 9, lanes, {pair: (1, 1.0)}).drain == ()
    assert decide(4, 0, 9, lanes, {pair: (1, PATIENCE + 1)}).drain == ("lane-0", "lane-1")
    assert decide(4, 0, 9, lanes, {SMALL: (2, 1.0), pair: (1, PATIENCE + 1)}).drain == ()


def test_the_default_number_of_lanes_follows_the_driver_nodes_memory() -> None:
    assert lane_limit(24e9) == 30
    assert lane_limit(0.1e9) == 1


def test_where_nodes_left_no_lane_is_started_that_does_not_fit() -> None:
    gpu = Shape(gpus_per_worker=1.0)
    lanes = [lane(number, gpu) for number in range(8)]
    decision = decide(10, 4, 50, lanes, {gpu: (3, 1.0), SMALL: (12, 0.0)})
    assert decision.start == (SMALL,) * 2


def grown(cpus: float, lanes: list[LaneState], demand: dict[Shape, tuple[int, float]]) -> tuple[Shape, ...]:
    return decide(*room_to_grow(cpus, 0, lanes, demand), 50, lanes, demand).start


def test_where_a_cluster_grows_lanes_wait_for_nodes_but_not_without_number() -> None:
    four = Shape(workers=4, gpus_per_worker=1.0)
    assert grown(0, [], {four: (3, 0.0)}) == (four,) * 3, "that is what the autoscaler sees"
    assert len(grown(0, [], {SMALL: (100, 0.0)})) == AHEAD
    waiting = [LaneState(f"lane-{n}", SMALL, False, False, starting=True) for n in range(AHEAD)]
    assert not grown(0, waiting, {SMALL: (100, 0.0)})
    assert not grown(2, [lane(0), lane(1), *waiting], {SMALL: (90, 0.0)})
    came = [lane(n) for n in range(4)] + waiting[4:]
    assert len(grown(4, came, {SMALL: (90, 0.0)})) == 4, "as some have found room, as many more may wait"
