"""How long a snapshot of a large store takes, with a warm index and without one.

python tests/benchmarks/store_snapshot.py [stages]
"""

import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import pyarrow

from pipeline.engine.store import Snapshot, Store
from pipeline.engine.store.local import LocalFolder


class UnsyncedFolder(LocalFolder):
    """Filling the store is not what is measured."""

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        super().write(path, data, durable=False)


def fill(root: Path, stages: int) -> list[str]:
    """Records of about 2 kB, three outputs each, as if written long ago."""
    store = Store(root)
    store.folder = UnsyncedFolder(root)
    layers = {f"features.{number}.weight": 1000 * number for number in range(16)}
    keys = [f"{number:064x}" for number in range(stages)]
    for number, key in enumerate(keys):
        names = ("history", "final", "it500")
        outputs = {name: store.put_output(key, name, f"{name} {number}".encode(), "bin") for name in names}
        fields = {"kind": "train", "seed": number, "model": {"name": "lenet", "hidden": [300, 100]}, "layers": layers}
        summary = {"test_accuracy": number / stages, "survivors": layers, "total": layers}
        store.finish(
            {"key": key, "fields": fields, "status": "ok", "outputs": outputs, "inputs": {"mask": key, "weights": key},
             "summary": summary, "finished": 1e9, "label": "a stage"}
        )  # fmt: skip
        if number:  # the last one stays young, so that all before it are old
            os.utime(root / f"done/{keys[number - 1]}.json", (1e9, 1e9))
    return keys


def measure(store: Store, keys: list[str], repetitions: int = 5) -> tuple[float, float, Snapshot]:
    """Best of several: seconds of a snapshot, and of asking it for an output of every stage."""
    taken, asked = [], []
    for _ in range(repetitions):
        start = time.perf_counter()
        snapshot = store.snapshot()
        middle = time.perf_counter()
        assert all(snapshot.available(key, "final") for key in keys)
        taken.append(middle - start)
        asked.append(time.perf_counter() - middle)
    return min(taken), min(asked), snapshot


def main(stages: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        keys = fill(Path(folder), stages)
        store = Store(folder)
        cold, _, snapshot = measure(store, keys, repetitions=1)
        store.compact(snapshot, always=True)
        warm, asked, _ = measure(store, keys)
        used = store.bytes_by_area()
    print(f"stages: {stages}, records: {used['done'] / 1e6:.1f} MB, index: {used['index'] / 1e6:.1f} MB")
    print(f"snapshot without index: {cold:.2f} s; with index: {warm:.2f} s ({cold / warm:.1f} times faster)")
    print(f"asking for one output of each stage: {asked:.2f} s")
    versions = f"Python {platform.python_version()}, pyarrow {pyarrow.__version__}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, {versions}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
