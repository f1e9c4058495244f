"""How long a plan of 20,000 stages takes: `python tests/benchmarks/planning.py`."""

import platform
import tempfile
import time
from collections import Counter

from pipeline.engine.store import Store
from pipeline.experiment.expansion import expand
from pipeline.experiment.planning import plan
from pipeline.experiment.spec import Spec

RUNS = 5


def synthetic(seeds: int) -> Spec:
    """Four sources and targets, 30 rounds, all evaluated: about 2,600 stages a seed."""
    training = {"length": "160ep", "lr_decay": {"at": ["80ep", "120ep"]}}
    prune = {"rate": 0.2, "rounds": 30, "rewind": "1ep"}
    datasets = [("a", "digits", "a"), ("b", "digits", "b"), ("c", "mnist", "a"), ("d", "fashion_mnist", "b")]
    targets = [
        {"name": name, "model": "convnet", "dataset": {"name": data, "half": half}, "training": training}
        for name, data, half in datasets
    ]
    sources = [{**target, "prune": prune} for target in targets]
    return Spec.model_validate({"name": "benchmark", "seeds": seeds, "sources": sources, "targets": targets})


def main() -> None:
    spec = synthetic(30)
    with tempfile.TemporaryDirectory() as folder:
        nothing = Store(folder).snapshot()
    seconds = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        grid = expand(spec)
        expanded = time.perf_counter()
        todo = plan(grid, nothing)
        seconds.append((expanded - begin, time.perf_counter() - expanded))
    assert len(todo.to_run) == len(grid.stages)
    best = min(seconds, key=sum)
    kinds = dict(Counter(grid.roles.values()))
    print(f"{len(grid.stages):,} stages ({kinds}), {len(grid.points):,} points")
    print(f"expand {best[0]:.2f} s + plan {best[1]:.2f} s = {sum(best):.2f} s, the best of {RUNS}")
    print(f"{sum(best) / len(grid.stages) * 20_000:.2f} s for 20,000 stages; Python {platform.python_version()}")


if __name__ == "__main__":
    main()
