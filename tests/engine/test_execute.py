"""One attempt at a stage, on a real store."""

import threading
from pathlib import Path

from pipeline.engine.addresses import Address
from pipeline.engine.lanes.leases import Lease
from pipeline.engine.lanes.workplace import Workplace
from pipeline.engine.store import Store
from pipeline.experiment.grid import Grid
from pipeline.experiment.stages import Shape


def test_a_lane_that_outlives_its_driver_writes_nothing_of_the_stage_that_another_one_makes_now(
    small: Grid, tmp_path: Path
) -> None:
    store = Store(str(tmp_path))
    stage = next(iter(small.stages.values()))
    for retired, kind in ((True, "claimed"), (False, "done")):
        store.drivers.beat("killed", {})
        work = Workplace(Address(store.uri), "data", "killed")(Shape(), threading.Event())

        def progress(*_: object, retired: bool = retired) -> None:
            if retired:
                store.claims.retire("killed")

        outcome = work(Lease(stage, frozenset({"final"}), frozenset(), "lane", 1), progress)
        assert outcome.kind == kind, outcome.message
        assert (store.record(stage.key) is None) is retired
