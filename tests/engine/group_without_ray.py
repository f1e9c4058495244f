"""One worker of a group that runs a grid without Ray: what a lane of several workers must come to.

Run by its path with `rank`, `size`, `grid` (a file) and `folder` (of the store and of the group's meeting) as globals.
"""

from pathlib import Path
from threading import Event
from typing import Any

import torch.distributed as dist

from pipeline.engine.execute import make_work
from pipeline.engine.local_lane import LocalLane
from pipeline.engine.presence import Presence
from pipeline.engine.store import Store
from pipeline.experiment.grid import expand
from pipeline.experiment.loading import load
from pipeline.experiment.planning import plan
from pipeline.lottery.parallel import Group

DRIVER = "without-ray"


def run(rank: int, size: int, grid: str, folder: str, **_: Any) -> None:
    work, store = expand(load(Path(grid), []), "data"), Store(f"{folder}/store")
    to_run = plan(work, store.snapshot()).to_run
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size)
    group = Group(rank, size)

    def works(shape: Any) -> Any:
        return lambda stop: make_work(store.uri, "data", DRIVER, "cpu", 1, 600.0, stop, group)

    with Presence(store, DRIVER, dict), LocalLane(works, fail_fast=True) as lane:
        lane.run([work.stages[key] for key in to_run], to_run, work.keep, Event(), lambda view: None)
        group.everyone(None)
    dist.destroy_process_group()


run(**globals())
