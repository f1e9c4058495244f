"""Where a lane's process works: the store it reads and writes, the data, and for which driver."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine.addresses import Address
from pipeline.engine.lanes.leases import RunLease
from pipeline.experiment.stages import Shape

if TYPE_CHECKING:
    from pipeline.lottery.parallel import Group


@dataclass(frozen=True, slots=True)
class Workplace:
    """Pickled to lanes, in whose processes it makes what runs their leases."""

    store: Address
    data_root: str
    driver: str
    checkpoint_seconds: float = 600.0

    def __call__(self, shape: Shape, stop: threading.Event, group: Group | None = None) -> RunLease:
        """`execute` on a bench of its own, with torch set to repeat its bits. Imports torch."""
        from pipeline.engine.execute import IMAGE_BYTES, Bench, execute
        from pipeline.engine.provenance import hardware, hardware_of
        from pipeline.engine.store import Store
        from pipeline.lottery.data import ImageCache
        from pipeline.lottery.determinism import deterministic
        from pipeline.lottery.parallel import ALONE

        deterministic()
        group = group or ALONE
        device = "cuda:0" if shape.gpus_per_worker > 0 else "cpu"
        bench = Bench(
            store=Store(self.store),
            images=ImageCache(Path(self.data_root), IMAGE_BYTES),
            driver=self.driver,
            hardware=hardware_of(group.everyone(hardware(device))),
            device=device,
            decoders=max(1, int(shape.cpus_per_worker) - 1),
            checkpoint_seconds=self.checkpoint_seconds,
            stop=stop,
            group=group,
        )
        return lambda lease, report: execute(lease, bench, report)
