"""One attempt at a stage, on a real store."""

import threading
from pathlib import Path

from pipeline.engine.execute import make_work
from pipeline.engine.leases import Lease
from pipeline.engine.store import Store
from pipeline.experiment.grid import Grid


def test_a_lane_that_outlives_its_driver_writes_nothing_of_the_stage_that_another_one_makes_now(
    small: Grid, tmp_path: Path
) -> None:
    store = Store(str(tmp_path))
    stage = next(iter(small.stages.values()))
    for retired, kind in ((True, "claimed"), (False, "done")):
        store.heartbeat("killed", {})
        work = make_work(store.uri, "data", "killed", "cpu", 1, 600.0, threading.Event())

        def progress(*_: object, retired: bool = retired) -> None:
            if retired:
                store.retire("killed")

        outcome = work(Lease(stage, frozenset({"final"}), frozenset(), "lane", 1), progress)
        assert outcome.kind == kind, outcome.message
        assert (store.record(stage.key) is None) is retired
