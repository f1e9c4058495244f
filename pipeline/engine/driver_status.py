"""What a driver says of its run with each heartbeat, for `tickets status`."""

from collections.abc import Collection

from pipeline.engine.lanes.view import View
from pipeline.engine.store.drivers import BusyLane, DriverStatus
from pipeline.experiment.grid import Work
from pipeline.lottery.counting import count_of


def status_of(work: Work, view: View | None, documents: Collection[str]) -> DriverStatus:
    """`view`: the latest of the lanes, if they have begun; `documents`: where the store remembers the grids so far."""
    status = DriverStatus(experiment=work.name, experiments=[grid.name for grid in work.grids])
    if len(documents) == len(work.grids):
        status["documents"] = sorted(documents)
    if view is not None:
        there = {lane.shape for lane in view.lanes}
        status["total"], status["done"] = view.counts.total, view.counts.done
        status["lanes"] = [
            BusyLane(
                lane=lane.name,
                stage=lane.lease.stage.label,
                iteration=lane.progress.iteration,
                iterations=lane.lease.stage.iterations,
            )
            for lane in view.lanes
            if lane.lease
        ]
        status["waiting"] = [
            f"{count_of(ready, 'stage')} of {shape.workers} x "
            f"({shape.cpus_per_worker:g} CPU, {shape.gpus_per_worker:g} GPU)"
            for shape, (ready, _) in view.demand.items()
            if shape not in there
        ]
    return status
