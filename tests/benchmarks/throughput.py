"""Images a second of the real training step on one device, beside a bare loop, and how the step divides.

    python tests/benchmarks/throughput.py --device cuda --precision bf16 --channels-last
    python tests/benchmarks/throughput.py --models vgg19 --width 8 --batch 128 --lanes 2
    python tests/benchmarks/throughput.py --models vgg19 --width 4 --data DATA_ROOT --train 1

Needs torch and torchvision (and what they bring), safetensors and pyarrow; in a checkout that is not installed, with
PYTHONPATH=. at its root. The step is `Run.step`: a batch of uint8 images that lie on the device, flip and crop,
forward, backward, SGD with momentum and weight decay, the mask (80 % pruned, at random) and running metrics.

The bare loop has the same network, precision, memory format and optimizer, its batches lie ready on the device, and it
has neither mask nor metrics. Both run with the settings under which the same stage gives the same bits (one thread,
deterministic algorithms, nothing chosen by timing it): what these cost is in neither. The two take turns; the ratio is
the median of the turns' ratios. FLOP/s count the
multiply-adds of convolutions and linear layers, times 2, times 3 (forward, and backward by inputs and by weights). The
matrix rate is that of a large product in the same precision. On a GPU, times are between synchronizations; on a CPU,
where one thread computes, they are the process's own CPU time, so that other processes disturb them less.

`--lanes N`: the throughput of N processes on one device against one process, by the wall clock. `--train EPOCHS`: dense
training on CIFAR-10 (Parquet, DATA_ROOT/cifar10) instead, the learning rate divided by 10 at the shares of the training
that `--schedule` names (the paper's 80 and 120 of 160 epochs).
"""

# mypy: disable-error-code="no-untyped-call"

import argparse
import itertools
import json
import math
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from pipeline.lottery.data import Images, load
from pipeline.lottery.determinism import deterministic
from pipeline.lottery.history import Record
from pipeline.lottery.hooks import Hooks
from pipeline.lottery.layers import prunable
from pipeline.lottery.models import build, initialize
from pipeline.lottery.optimizers import build_optimizer
from pipeline.lottery.run import Run
from pipeline.lottery.training import train
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.models import model_from
from pipeline.recipes.training import Train

MASK = {"stage": "0" * 64, "output": "mask"}

EPOCH = 50_000
SURVIVING = 0.2
READY = 8
"""Batches that the bare loop goes through again and again."""
PARTS = ("data", "forward", "backward", "optimizer", "mask", "metrics")


@dataclass(frozen=True)
class Measured:
    """One network; rates are medians over `n` turns, spreads their smallest and largest."""

    model: str
    width: int
    n: int
    images_per_second: float
    images_per_second_spread: tuple[float, float]
    bare_images_per_second: float
    ratio_to_bare: float
    ratio_spread: tuple[float, float]
    seconds_per_epoch: float
    flops_per_second: float
    share_of_matrix_rate: float
    parts: dict[str, float]
    """Share of the step's time by part; forward includes the loss, optimizer what lies between backward and mask."""
    memory: int | None
    """Bytes that the device had allocated at most, both loops together; None on a CPU."""
    lanes: dict[str, Any] | None = None


def fields_of(model: str, options: argparse.Namespace) -> dict[str, Any]:
    """The fields of a training stage with the paper's optimizer."""
    optional: dict[str, Any] = {"precision": "bf16"} if options.precision == "bf16" else {}
    optional |= {"channels_last": True} if options.channels_last else {}
    optional |= {"compile": True} if options.compile else {}
    return {
        "kind": "train",
        "recipe": 1,
        "model": {"name": model} | ({"width": options.width} if options.width != 64 else {}),
        "input": [3, options.size, options.size],
        "classes": 10,
        "data": {"name": "synthetic"},
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
        "augment": {"flip": True, "crop": 4},
        "batch_size": options.batch,
        "iterations": 10**9,
        "record_every": 10**9,
        "seed": 0,
        "round": 0,
        **optional,
    }


def images_of(options: argparse.Namespace) -> Images:
    """CIFAR-10 where a data root is given, else noise of the size asked for: 50,000 images for training."""
    if options.data:
        return load(DataSet("parquet"), options.data, "cifar10")
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(256, (EPOCH, 3, options.size, options.size), dtype=torch.uint8, generator=draw)
    y = torch.randint(10, (EPOCH,), generator=draw)
    half = torch.full((3,), 0.5)
    return Images(train_x=x, train_y=y, test_x=x[:1000], test_y=y[:1000], mean=half, std=half, classes=10)


def random_mask(fields: dict[str, Any], surviving: float) -> dict[str, Tensor]:
    """A mask that keeps each weight but the output layer's with probability `surviving`."""
    with torch.device("meta"):
        weights = prunable(build(model_from(fields["model"]), fields["input"], fields["classes"]))
    draw = torch.Generator().manual_seed(0)
    return {name: torch.rand(weight.shape, generator=draw) < surviving for name, weight in weights.items()}


def begun(fields: dict[str, Any], images: Images, device: torch.device) -> Run:
    """A run from fresh weights under a mask."""
    run = Run(
        Train.from_fields(fields | {"start": {"mask": MASK}}),
        {"mask": random_mask(fields, SURVIVING)},
        images,
        device,
        None,
    )
    # The last batch of an epoch is smaller, which torch.compile compiles anew: the warm-up begins with it.
    run.iteration = run.feeds.train.per_epoch - 1
    return run


def bare_step(run: Run, model: nn.Module | None = None) -> Callable[[], None]:
    """A step in the plainest loop, of the run's network or of another for the same images."""
    of = run.recipe.configuration
    if model is None:
        model = build(of.model, of.input, of.classes)
    initialize(model, run.recipe.seed, of.model)
    model.to(run.device)
    if of.channels_last:
        model.to(memory_format=torch.channels_last)
    forward: Callable[[Tensor], Tensor] = torch.compile(model, dynamic=False) if of.compile else model
    optimizer = build_optimizer(of.optimizer, model.parameters())
    whole_batches = max(1, run.feeds.train.per_epoch - 1)
    ready = itertools.cycle([run.feeds.train.at(iteration) for iteration in range(min(READY, whole_batches))])

    def step() -> None:
        images, labels = next(ready)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(run.device.type, dtype=torch.bfloat16, enabled=of.precision == "bf16"):
            outputs = forward(images).float()
        F.cross_entropy(outputs, labels).backward()
        optimizer.step()

    return step


def now(device: torch.device) -> float:
    """Seconds on the clock that fits the device, once it has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def seconds(device: torch.device, step: Callable[[], object], steps: int) -> float:
    """Seconds that so many steps take together."""
    started = now(device)
    for _ in range(steps):
        step()
    return now(device) - started


def steps_a_turn(device: torch.device, step: Callable[[], object], turn: float) -> int:
    """Steps that take about `turn` seconds; warms up first."""
    for _ in range(10 if device.type == "cuda" else 1):
        step()
    return max(1, round(turn / seconds(device, step, 1)))


class Marks:
    """Moments on the device's own time line: CUDA events, which no step waits for, or the CPU's clock."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[Any] = []

    def mark(self) -> None:
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append(event)
        else:
            self._marks.append(time.process_time())

    def around(self, function: Callable[..., Any], *, before: bool = False) -> Callable[..., Any]:
        """`function` with a mark behind it, and one before it if asked for."""

        def marked(*arguments: Any, **options: Any) -> Any:
            if before:
                self.mark()
            result = function(*arguments, **options)
            self.mark()
            return result

        return marked

    def between(self) -> list[float]:
        """Times from each mark to the next, in the device's unit."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            return [first.elapsed_time(then) for first, then in itertools.pairwise(self._marks)]
        return [then - first for first, then in itertools.pairwise(self._marks)]


def divided(run: Run, steps: int) -> dict[str, float]:
    """Share of the step's time by part, from marks that real steps leave where one part ends and the next begins."""
    marks = Marks(run.device)
    with ExitStack() as patched:
        for owner, name in ((run.feeds.train, "at"), (run.optimizer, "step"), (run.masked, "prune")):
            patched.enter_context(patch.object(owner, name, marks.around(getattr(owner, name))))
        patched.enter_context(patch.object(Tensor, "backward", marks.around(Tensor.backward, before=True)))
        for _ in range(steps):  # read at the end only: a GPU that had to wait for the host would show the host's times
            marks.mark()
            run.step()
            marks.mark()
    times = marks.between()
    period = len(PARTS) + 1  # the last is the gap between two steps
    assert len(times) == period * steps - 1, "Run.step does not go through its parts once each"
    sums = {part: sum(times[place::period]) for place, part in enumerate(PARTS)}
    return {part: each / sum(sums.values()) for part, each in sums.items()}


def multiply_adds(fields: dict[str, Any]) -> dict[str, int]:
    """Multiply-adds of the forward pass of one image, by convolution and linear layer."""
    counts: dict[str, int] = {}

    def count(name: str, module: nn.Module, _: object, output: Tensor) -> None:
        counts[name] = output.numel() * module.weight[0].numel()  # type: ignore[index]  # the modules that this hooks have tensors

    with torch.device("meta"):
        model = build(model_from(fields["model"]), fields["input"], fields["classes"]).eval()
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(partial(count, name))
        model(torch.empty(1, *fields["input"]))
    return counts


def matrix_rate(device: torch.device, precision: str) -> float:
    """FLOP/s of a large matrix product: the median of five measurements."""
    side, products = (8192, 10) if device.type == "cuda" else (1024, 2)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    seconds(device, lambda: a @ b, 3)
    return 2 * side**3 * products / statistics.median(seconds(device, lambda: a @ b, products) for _ in range(5))


def measure(model: str, options: argparse.Namespace, images: Images, matrix: float) -> Measured:
    """Everything about one network but packing."""
    device = torch.device(options.device)
    fields = fields_of(model, options)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    run = begun(fields, images, device)
    bare = bare_step(run)
    steps = steps_a_turn(device, run.step, options.seconds)
    steps_a_turn(device, bare, options.seconds)
    pairs = []
    for turn in range(options.repetitions):
        first = run.iteration
        order = (run.step, bare) if turn % 2 else (bare, run.step)
        took = {step: seconds(device, step, steps) for step in order}
        seen = sum(run.feeds.train.count(iteration) for iteration in range(first, run.iteration))
        pairs.append((seen / took[run.step], steps * options.batch / took[bare]))
    rates, bares, ratios = zip(*((ours, other, ours / other) for ours, other in pairs), strict=True)
    rate = statistics.median(rates)
    flops = 6 * sum(multiply_adds(fields).values()) * rate
    return Measured(
        model=model,
        width=options.width,
        n=options.repetitions,
        images_per_second=rate,
        images_per_second_spread=(min(rates), max(rates)),
        bare_images_per_second=statistics.median(bares),
        ratio_to_bare=statistics.median(ratios),
        ratio_spread=(min(ratios), max(ratios)),
        seconds_per_epoch=EPOCH / rate,
        flops_per_second=flops,
        share_of_matrix_rate=flops / matrix,
        parts=divided(run, max(3, min(50, steps))),
        memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        lanes=packing(model, options) if options.lanes > 1 else None,
    )


def packing(model: str, options: argparse.Namespace) -> dict[str, Any]:
    """Images a second of several processes together against those of one, alternately: medians."""
    alone, together = [], []
    for _ in range(max(1, options.repetitions // 2)):
        alone.append(packed(model, options, 1))
        together.append(packed(model, options, options.lanes))
    ratios = [many / one for many, one in zip(together, alone, strict=True)]
    return {
        "lanes": options.lanes,
        "n": len(ratios),
        "one": statistics.median(alone),
        "together": statistics.median(together),
        "ratio": statistics.median(ratios),
        "ratio_spread": (min(ratios), max(ratios)),
    }


def packed(model: str, options: argparse.Namespace, lanes: int) -> float:
    """Images a second of so many processes on the device, all of them at work."""
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    barrier, results = context.Barrier(lanes), context.SimpleQueue()
    processes = [context.Process(target=lane, args=(model, options, barrier, results)) for _ in range(lanes)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("A lane failed: see above.")
    rates: list[float] = [results.get() for _ in processes]
    return sum(rates)


def lane(model: str, options: argparse.Namespace, barrier: Any, results: Any) -> None:
    """One process: steps for so many seconds, begun when all are ready."""
    try:
        deterministic()
        device = torch.device(options.device)
        fields = fields_of(model, options)
        run = begun(fields, images_of(options), device)
        steps = steps_a_turn(device, run.step, 0.1)
    except BaseException:
        barrier.abort()  # nobody waits for a lane that is not coming
        raise
    barrier.wait()
    first, started = run.iteration, time.perf_counter()
    while time.perf_counter() - started < options.seconds:
        seconds(device, run.step, steps)
    elapsed = time.perf_counter() - started
    results.put(sum(run.feeds.train.count(iteration) for iteration in range(first, run.iteration)) / elapsed)


def train_dense(model: str, options: argparse.Namespace) -> None:
    """Train the dense network on CIFAR-10, evaluated every epoch."""
    images = load(DataSet("parquet"), options.data, "cifar10")
    per_epoch = math.ceil(len(images.train_y) / options.batch)
    length = options.train * per_epoch
    milestones = [round(share * length) for share in options.schedule]
    fields = fields_of(model, options) | {
        "data": {"name": "cifar10"},
        "iterations": length,
        "record_every": per_epoch,
        "lr_decay": {"at": milestones, "factor": 0.1},
    }
    moments = [time.perf_counter()]

    def show(iteration: int, record: Record | None) -> None:
        if record is not None:
            moments.append(time.perf_counter())
            print(f"epoch {iteration // per_epoch}: {json.dumps(record)}", flush=True)

    trained = train(Train.from_fields(fields), {}, images, device=options.device, hooks=Hooks(progress=show))
    each = [then - first for first, then in itertools.pairwise(moments)]
    print(
        f"{model} width {options.width}, {options.train} epochs of {len(images.train_y)}, batch {options.batch}, "
        f"lr 0.1, a tenth of it from iterations {milestones}: {trained.status}, test accuracy "
        f"{trained.summary['test_accuracy']:.4f}; seconds an epoch with its evaluation: median "
        f"{statistics.median(each):.2f}, first {each[0]:.2f}, all {sum(each):.1f}"
    )


def table(row: Measured, options: argparse.Namespace) -> str:
    shares = ", ".join(f"{part} {share:.1%}" for part, share in row.parts.items())
    lines = [
        f"{row.model}, width {row.width}, batch {options.batch}, {options.size}x{options.size}; n = {row.n} turns",
        f"  training step   {row.images_per_second:10,.0f} images/s {spread(row.images_per_second_spread, ',.0f')}",
        f"  bare loop       {row.bare_images_per_second:10,.0f} images/s",
        f"  ratio           {row.ratio_to_bare:10.3f} {spread(row.ratio_spread, '.3f')}",
        f"  epoch of 50,000 {row.seconds_per_epoch:10.2f} s",
        f"  TFLOP/s         {row.flops_per_second / 1e12:10.3f} = {row.share_of_matrix_rate:.1%} of the matrix rate",
        f"  divides into    {shares}",
    ]
    if row.memory is not None:
        lines.append(f"  memory at most  {row.memory / 2**20:10,.0f} MiB (both loops)")
    if row.lanes is not None:
        together, one, ratio = row.lanes["together"], row.lanes["one"], row.lanes["ratio"]
        lines.append(
            f"  {row.lanes['lanes']} lanes         {together:10,.0f} images/s, one {one:,.0f}: {ratio:.2f} times "
            f"{spread(row.lanes['ratio_spread'], '.2f')}, n = {row.lanes['n']}"
        )
    return "\n".join(lines)


def spread(ends: tuple[float, float], digits: str) -> str:
    return f"(from {ends[0]:{digits}} to {ends[1]:{digits}})"


def hardware(device: torch.device) -> str:
    """Name of the device, and versions."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        cpu = Path("/proc/cpuinfo")
        lines = cpu.read_text().splitlines() if cpu.exists() else []
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU")
        name = f"{model}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} thread"
    return (
        f"{name}; torch {torch.__version__}, torchvision {torchvision.__version__}, Python {platform.python_version()}"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["vgg19", "resnet50"], choices=["vgg19", "resnet50"])
    parser.add_argument("--width", type=int, default=64, help="channels of the first convolution (the paper's: 64)")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="fp32")
    parser.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn")
    parser.add_argument("--repetitions", type=int, default=7, help="turns of each loop")
    parser.add_argument("--lanes", type=int, default=1, help="processes on the device, against one")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--synthetic", action="store_true", help="noise in place of images (the default)")
    source.add_argument("--data", type=Path, metavar="ROOT", help="data root: holds cifar10/*.parquet")
    parser.add_argument(
        "--train", type=int, metavar="EPOCHS", help="train the dense network instead of measuring steps"
    )
    parser.add_argument("--schedule", type=float, nargs="*", default=[0.5, 0.75], metavar="SHARE")
    parser.add_argument("--json", action="store_true", help="print JSON, not tables")
    options = parser.parse_args()
    if options.train and not options.data:
        parser.error("--train needs --data ROOT, the folder that holds cifar10/*.parquet.")
    if options.data and options.size != 32:
        parser.error("--size is 32 with --data: CIFAR-10's.")
    return options


def main() -> None:
    options = arguments()
    deterministic()
    device = torch.device(options.device)
    if options.train:
        print(hardware(device))
        for model in options.models:
            train_dense(model, options)
        return
    matrix = matrix_rate(device, options.precision)
    images = images_of(options)
    rows = [measure(model, options, images, matrix) for model in options.models]
    if options.json:
        setting = {name: str(value) for name, value in vars(options).items()}
        found = {"hardware": hardware(device), "options": setting, "matrix_flops_per_second": matrix}
        print(json.dumps(found | {"models": [asdict(row) for row in rows]}, indent=1))
        return
    print(hardware(device))
    layout = "channels-last" if options.channels_last else "row-major"
    compiled = ", compiled" if options.compile else ""
    print(f"{options.precision}, {layout}{compiled}; matrix rate {matrix / 1e12:.3f} TFLOP/s")
    for row in rows:
        print(table(row, options))


if __name__ == "__main__":
    main()
