"""What a stage costs on a lane beside a Ray Train run of its own, and what a lane costs beside its worker.

    python tests/benchmarks/lanes.py [--stages 200] [--runs 3]

Prints milliseconds a stage over empty stages on one lane, seconds a no-op DataParallelTrainer.fit() takes on the same
warm Ray, their ratio, and the memory of a lane's processes.
"""

import argparse
import contextlib
import os
import platform
import statistics
import tempfile
import threading
import time
import uuid
from pathlib import Path

import ray

from pipeline.engine.lanes.events import Done, Started
from pipeline.engine.lanes.lanes import LaneOptions
from pipeline.engine.lanes.leases import RunLease
from pipeline.engine.lanes.outcomes import Outcome
from pipeline.engine.lanes.ray_lanes import RayLanes
from pipeline.engine.lanes.view import View
from pipeline.engine.store.records import Record
from pipeline.experiment.stages import Shape, Stage
from pipeline.recipes.keys import key_of

DONE: Record = {"key": "", "fields": {}, "status": "ok", "outputs": {}, "inputs": {}, "summary": {}, "finished": 0.0}


def empty_work(shape: Shape, stop: threading.Event, group: object = None) -> RunLease:
    return lambda lease, report: Outcome("done", record=DONE)


def one_run() -> float:
    """Seconds of a Ray Train run that does nothing."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        DataParallelTrainer(
            lambda: None,
            scaling_config=ScalingConfig(num_workers=1),
            run_config=RunConfig(name=uuid.uuid4().hex, storage_path=folder),
        ).fit()
        return time.perf_counter() - started


def memory_of_lane() -> dict[str, float]:
    """Memory in MB that only the process itself uses, of one waiting lane's processes, by their Ray names."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name = (process / "cmdline").read_text().split("\0")[0]
            if name.startswith(("ray::TrainController", "ray::RayTrainWorker", "ray::BoardActor")):
                lines = (process / "smaps_rollup").read_text().splitlines()
                private = sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
                found[name.removeprefix("ray::").split(".")[0]] = private / 1e3
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    work = [Stage(key_of({"n": n}), "train", {}, str(n), 0) for n in range(arguments.stages)]
    first: list[float] = []
    last = [0.0]
    memory: dict[str, float] = {}

    def follow(view: View) -> None:
        for event in view.events:
            if isinstance(event, Started) and not first:
                first.append(time.perf_counter())
            if isinstance(event, Done):
                last[0] = time.perf_counter()
        if view.over and not memory:
            memory.update(memory_of_lane())

    with RayLanes(LaneOptions(empty_work, lanes=1)) as lanes:
        lanes.run(work, {stage.key: frozenset() for stage in work}, {}, threading.Event(), follow, every=0.05)
        own = [one_run() for _ in range(arguments.runs)]
    each = (last[0] - first[0]) / arguments.stages
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Ray {ray.__version__}, "
        f"Python {platform.python_version()}"
    )
    print(f"a stage on a lane: {1000 * each:.1f} ms (n = {arguments.stages} empty stages, one lane)")
    print(f"a Ray Train run a stage, warm Ray: {statistics.median(own):.1f} s (median, n = {len(own)})")
    print(f"ratio: {statistics.median(own) / each:,.0f}")
    for name, size in memory.items():
        print(f"memory of {name}: {size:.0f} MB")


if __name__ == "__main__":
    main()
