"""One worker of a group that runs a grid without Ray: what a lane of several workers must come to.

Run by its path with `rank`, `size`, `grid` (a file) and `folder` (of the store and of the group's meeting) as globals.
"""

from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import torch.distributed as dist

from pipeline.engine.addresses import Address
from pipeline.engine.lanes.leases import RunLease
from pipeline.engine.lanes.local_lane import LocalLane
from pipeline.engine.lanes.workplace import Workplace
from pipeline.engine.presence import Presence
from pipeline.engine.store import Store
from pipeline.engine.store.drivers import DriverStatus
from pipeline.engine.store.records import Record
from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load
from pipeline.experiment.planning import plan
from pipeline.experiment.stages import Shape
from pipeline.lottery.parallel import Group

DRIVER = "without-ray"
ALONG: Record = {"key": "", "fields": {}, "status": "ok", "outputs": {}, "inputs": {}, "summary": {}, "finished": 0.0}
"""For this process's own board, of a stage that it only trained along with."""


def run(rank: int, size: int, grid: str, folder: str, **_: Any) -> None:
    work, store = expand(load(Path(grid), []), "data"), Store(f"{folder}/store")
    to_run = plan(work, store.snapshot()).to_run
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size)
    group = Group(rank, size)

    workplace = Workplace(Address(store.uri), "data", DRIVER)

    def make_work(shape: Shape, stop: Event, group: Group | None = group) -> RunLease:
        work = workplace(shape, stop, group)
        return lambda lease, report: replace(outcome := work(lease, report), record=outcome.record or ALONG)

    with Presence(store, DRIVER, DriverStatus), LocalLane(make_work, fail_fast=True) as lane:
        lane.run([work.stages[key] for key in to_run], to_run, work.keep, Event(), lambda view: None)
        group.everyone(None)
    dist.destroy_process_group()


run(**globals())
