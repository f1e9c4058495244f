"""Training LeNet-300-100 on MNIST at batch 128 on one thread: steps a second beside two plain loops, and a whole job.

    python tests/benchmarks/training_steps.py --data DATA_ROOT

(a) `train`: masks (80 % pruned), running metrics, shuffling and normalization from uint8;
(b) a bare loop over a tensor normalized beforehand: no masks, no metrics;
(c) torchvision's usual loop: DataLoader, an image at a time through ToTensor and Normalize, in the process itself.

The three take turns, an epoch of (a) and (b) and a part of one of (c) each time; medians are compared. The job is one
replicate of rounds 0 to 3 (20 % pruned each, rewound to the start), three epochs each, evaluated every epoch.
"""

# mypy: disable-error-code="no-untyped-call"

import argparse
import gzip
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision import transforms

from pipeline.lottery.data import Images, load
from pipeline.lottery.determinism import deterministic
from pipeline.lottery.pruning import prune
from pipeline.lottery.run import Run
from pipeline.lottery.training import train
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.rules import ByRate
from pipeline.recipes.training import Train

MASK = {"stage": "0" * 64, "output": "mask"}
WEIGHTS = {"stage": "0" * 64, "output": "it0"}

BATCH = 128
EPOCH = 469
FIELDS: dict[str, Any] = {
    "kind": "train",
    "recipe": 1,
    "model": {"name": "lenet", "hidden": [300, 100]},
    "input": [1, 28, 28],
    "classes": 10,
    "data": {"name": "mnist"},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "batch_size": BATCH,
    "iterations": 3 * EPOCH,
    "record_every": EPOCH,
    "seed": 0,
    "round": 0,
}


def ours(images: Images) -> Callable[[], float]:
    """An epoch's steps of a run whose mask keeps 20 % of the weights, chosen at random."""
    generator = torch.Generator().manual_seed(0)
    mask = {
        name: torch.rand(shape, generator=generator) < 0.2
        for name, shape in {"fc1.weight": (300, 784), "fc2.weight": (100, 300)}.items()
    }
    run = Run(Train.from_fields(FIELDS | {"start": {"mask": MASK}}), {"mask": mask}, images, torch.device("cpu"), None)

    def epoch() -> float:
        started = time.perf_counter()
        for _ in range(EPOCH):
            run.step()
        run.metrics.mean()
        run.metrics.clear()
        return EPOCH / (time.perf_counter() - started)

    return epoch


def network() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
    )


def bare(images: Images) -> Callable[[], float]:
    assert isinstance(images.train_x, Tensor)
    x = (images.train_x.float() / 255 - images.mean.view(-1, 1, 1)) / images.std.view(-1, 1, 1)
    y = images.train_y
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def epoch() -> float:
        started = time.perf_counter()
        for chosen in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[chosen]), y[chosen])
            loss.backward()
            optimizer.step()
        return EPOCH / (time.perf_counter() - started)

    return epoch


def per_image(root: Path, images: Images, steps: int) -> Callable[[], float]:
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize(images.mean.tolist(), images.std.tolist())]
    )
    with TemporaryDirectory() as unpacked:  # torchvision reads unpacked files only; the data root may be read-only
        raw = Path(unpacked) / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for archive in (root / "MNIST" / "raw").glob("*.gz"):
            (raw / archive.stem).write_bytes(gzip.decompress(archive.read_bytes()))
        data = torchvision.datasets.MNIST(unpacked, train=True, transform=transform)
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=0)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def part() -> float:
        started = time.perf_counter()
        for step, (x, y) in enumerate(loader, start=1):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            if step == steps:
                break
        return steps / (time.perf_counter() - started)

    return part


def whole_job(images: Images) -> tuple[float, float]:
    """Seconds, and the test accuracy of the last round."""
    started = time.perf_counter()
    trained = train(Train.from_fields(FIELDS), {}, images, capture=frozenset({0}))
    rewound, mask = trained.captured[0], None
    for number in (1, 2, 3):
        assert trained.final is not None
        layers = {name: trained.final[name] for name in ("fc1.weight", "fc2.weight")}
        mask = prune(layers, mask, ByRate(0.2, scope="global"))
        fields = FIELDS | {"round": number, "start": {"mask": MASK, "weights": WEIGHTS}}
        trained = train(Train.from_fields(fields), {"mask": mask, "weights": rewound}, images)
    return time.perf_counter() - started, trained.summary["test_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data root: holds MNIST/raw")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    deterministic()
    images = load(DataSet.from_fields(FIELDS["data"]), options.data)
    loops = {
        "train, 80 % pruned, with metrics": ours(images),
        "bare loop": bare(images),
        "DataLoader loop": per_image(options.data, images, steps=100),
    }
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for repetition in range(options.repetitions + 1):
        for name, loop in loops.items():
            rate = loop()
            if repetition:  # the first turn warms up
                rates[name].append(rate)
    print(f"{platform.processor() or platform.machine()}, {cpu()}, 1 thread; torch {torch.__version__}, ", end="")
    print(f"torchvision {torchvision.__version__}, Python {platform.python_version()}; n = {options.repetitions} turns")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        print(f"{name:34} {medians[name]:6.0f} steps/s (from {min(values):.0f} to {max(values):.0f})")
    first, second, third = medians.values()
    print(f"ratio to the bare loop {first / second:.2f} (target 0.9)")
    print(f"ratio to the DataLoader loop {first / third:.2f} (target 3)")
    for _ in range(options.jobs):
        seconds, accuracy = whole_job(images)
        print(f"rounds 0 to 3, 3 epochs each: {seconds:.1f} s (target 19), test accuracy {accuracy:.4f}; ", end="")
        print(f"the bare loop alone takes {12 * EPOCH / second:.1f} s for as many steps")


def cpu() -> str:
    """The processor's name where Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")


if __name__ == "__main__":
    main()
