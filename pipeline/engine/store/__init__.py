"""The store: where finished stages are kept by content key, on any file system that pyarrow can reach."""

from pipeline.engine.store.drivers import Heartbeat
from pipeline.engine.store.problems import CorruptOutput, MissingOutput, Problem
from pipeline.engine.store.snapshot import Snapshot
from pipeline.engine.store.store import Store

__all__ = ["CorruptOutput", "Heartbeat", "MissingOutput", "Problem", "Snapshot", "Store"]
