"""What a training step of a pruned VGG19 costs, and what it would cost without its dead channels.

    python tests/benchmarks/sparsity.py                                       # random masks
    python tests/benchmarks/sparsity.py --width 8 --data DATA_ROOT --rounds 31   # real pruning rounds on CIFAR-10

Pruned weights are zeros in dense tensors. Step times are those of `Run.step` under masks that keep 100, 10, 1 and
0.1 % of the weights, in turns, each beside the dense step of the same turn.

A channel is dead if it does nothing for the answer: unused, if no path of surviving weights leads from it to the output
layer (which uses all it gets), or constant, if none leads to it from the image: biases and batch norm alone make it,
the same map whatever the image. An unused channel can be left out at once; a constant one if what it adds to the next
layer is added by other means. What remains is counted as a smaller dense VGG19, in multiply-adds of the convolutions
and the output layer as a share of the whole; beside it the share if each pruned weight alone cost nothing, which no
dense kernel reaches. The smaller network's step is a bare loop's, beside the bare loop over the whole network.

With `--rounds`, the masks are of iterative pruning (global magnitude, 20 % a round), trained on a part of CIFAR-10,
each round from the weights that round 0 had after a quarter of an epoch.
"""

# mypy: disable-error-code="no-untyped-call"

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from throughput import bare_step, fields_of, hardware, images_of, multiply_adds, random_mask, seconds, steps_a_turn
from torch import Tensor, nn

from pipeline.lottery.data import Images, load
from pipeline.lottery.determinism import deterministic
from pipeline.lottery.models import build
from pipeline.lottery.pruning import prune
from pipeline.lottery.run import Run
from pipeline.lottery.training import train
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.models import model_from
from pipeline.recipes.rules import ByRate
from pipeline.recipes.training import Train

MASK = {"stage": "0" * 64, "output": "mask"}
WEIGHTS = {"stage": "0" * 64, "output": "it0"}

SURVIVING = (1.0, 0.1, 0.01, 0.001)
TEST_IMAGES = 2000


@dataclass(frozen=True)
class Pruned:
    """A mask, and where it is of a real round the weights trained under it."""

    name: str
    mask: dict[str, Tensor]
    weights: dict[str, Tensor] | None = None
    test_accuracy: float | None = None


@dataclass(frozen=True)
class Cost:
    """What a mask leaves; the shares are of the dense network's multiply-adds or times."""

    name: str
    pruned: float
    test_accuracy: float | None
    unused_left_out: float
    dead_left_out: float
    pruned_weights_free: float
    live_channels: list[int]
    """By convolution."""
    step: float | None = None
    """The median of the turns; spread: the smallest and the largest."""
    step_spread: tuple[float, float] | None = None
    smaller_step: float | None = None


def used(masks: list[Tensor]) -> list[Tensor]:
    """Bool [channels] by convolution: from which a path of surviving weights leads to the output layer."""
    found = [torch.ones(len(masks[-1]), dtype=torch.bool)]
    for mask in reversed(masks[1:]):  # [out, in, 3, 3]
        found.append((mask.flatten(2).any(2) & found[-1][:, None]).any(0))
    return found[::-1]


def varying(masks: list[Tensor]) -> list[Tensor]:
    """Bool [channels] by convolution: to which a path of surviving weights leads from the image."""
    found = [torch.ones(masks[0].shape[1], dtype=torch.bool)]
    for mask in masks:
        found.append((mask.flatten(2).any(2) & found[-1]).any(1))
    return found[1:]


def share(kept: list[Tensor], fields: dict[str, Any]) -> float:
    """Multiply-adds of a network with these channels alone, as a share of the whole network's."""
    *convolutions, head = multiply_adds(fields).values()
    inputs = [torch.ones(fields["input"][0]), *kept[:-1]]
    live = [float(left.float().mean() * right.float().mean()) for left, right in zip(inputs, kept, strict=True)]
    needed = sum(count * part for count, part in zip(convolutions, live, strict=True))
    return (needed + head * float(kept[-1].float().mean())) / (sum(convolutions) + head)


def cost(network: Pruned, fields: dict[str, Any]) -> Cost:
    masks = list(network.mask.values())
    needed = used(masks)
    live = [each & other for each, other in zip(needed, varying(masks), strict=True)]
    *convolutions, head = multiply_adds(fields).values()
    sparse = sum(count * float(mask.float().mean()) for count, mask in zip(convolutions, masks, strict=True))
    return Cost(
        name=network.name,
        pruned=1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks),
        test_accuracy=network.test_accuracy,
        unused_left_out=share(needed, fields),
        dead_left_out=share(live, fields),
        pruned_weights_free=(sparse + head) / (sum(convolutions) + head),
        live_channels=[int(each.sum()) for each in live],
    )


def smaller(channels: list[int], fields: dict[str, Any]) -> nn.Module:
    """VGG19 with so many channels by convolution, at least one each."""
    model = build(model_from(fields["model"]), fields["input"], fields["classes"])
    features = model.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    left, wanted = fields["input"][0], iter(channels)
    for place, module in enumerate(features):
        if isinstance(module, nn.Conv2d):
            right = max(1, next(wanted))
            features[place], left = nn.Conv2d(left, right, kernel_size=3, padding=1), right
        elif isinstance(module, nn.BatchNorm2d):
            features[place] = nn.BatchNorm2d(left)
    model.set_submodule("classifier", nn.Linear(left, fields["classes"]))
    return model


def rounds(fields: dict[str, Any], options: argparse.Namespace) -> Iterator[Pruned]:
    """Round 0, which is dense, and the rounds of iterative pruning after it, each trained."""
    images = load(DataSet("parquet", per_class=options.per_class), options.data, "cifar10")
    images = replace(images, test_x=images.test_x[:TEST_IMAGES], test_y=images.test_y[:TEST_IMAGES])
    per_epoch = -(-len(images.train_y) // options.batch)
    length, rewind = options.epochs * per_epoch, per_epoch // 4
    fields = fields | {"data": {"name": "cifar10"}, "iterations": length, "record_every": length}
    trained = train(Train.from_fields(fields), {}, images, device=options.device, capture=frozenset({rewind}))
    rewound, mask = trained.captured[rewind], random_mask(fields, 1.0)
    for number in range(options.rounds + 1):
        if number:
            stage = fields | {"round": number, "start": {"mask": MASK, "weights": WEIGHTS}}
            trained = train(Train.from_fields(stage), {"mask": mask, "weights": rewound}, images, device=options.device)
        if trained.final is None:
            raise SystemExit(f"Round {number} diverged: train with another --batch, --per-class or --epochs.")
        yield Pruned(f"round {number}", mask, trained.final, trained.summary["test_accuracy"])
        mask = prune({name: trained.final[name] for name in mask}, mask, ByRate(0.2, scope="global"))


def timed(
    networks: list[Pruned], fields: dict[str, Any], images: Images, options: argparse.Namespace
) -> dict[str, Cost]:
    """Costs by name with times of steps, as shares of those of the first network, which is dense."""
    costs = [cost(network, fields) for network in networks]
    whole: list[Callable[[], None]] = []
    less: list[Callable[[], None]] = []
    for network, found in zip(networks, costs, strict=True):
        inputs = {"mask": network.mask} | ({"weights": network.weights} if network.weights else {})
        start: dict[str, Any] = {role: {} for role in inputs}
        run = Run(Train.from_fields(fields | {"start": start}), inputs, images, torch.device(options.device), None)
        whole.append(run.step)
        less.append(bare_step(run, smaller(found.live_channels, fields)))
    shares, less_shares = in_turns(whole, options), in_turns(less, options)
    return {
        found.name: replace(
            found,
            step=statistics.median(share),
            step_spread=(min(share), max(share)),
            smaller_step=statistics.median(less_share),
        )
        for found, share, less_share in zip(costs, shares, less_shares, strict=True)
    }


def in_turns(steps: list[Callable[[], None]], options: argparse.Namespace) -> list[list[float]]:
    """Of each step, its times as shares of the first one's in the same turn."""
    device = torch.device(options.device)
    count = steps_a_turn(device, steps[0], options.seconds)
    for step in steps[1:]:
        seconds(device, step, 2)
    found: list[list[float]] = [[] for _ in steps]
    for _ in range(options.repetitions):
        first, *others = (seconds(device, step, count) for step in steps)
        for ratios, took in zip(found, (first, *others), strict=True):
            ratios.append(took / first)
    return found


def table(rows: list[Cost]) -> str:
    heads = ["mask", "pruned", "accuracy", "step", "from", "to", "unused out", "dead out", "its step", "zeros free"]
    lines = ["".join(f"{head:>11}" for head in heads) + "  live channels by convolution"]
    for row in rows:
        numbers = [row.pruned, row.test_accuracy, row.step, *(row.step_spread or (None, None))]
        numbers += [row.unused_left_out, row.dead_left_out, row.smaller_step, row.pruned_weights_free]
        written = "".join(f"{'' if number is None else f'{number:.2%}':>11}" for number in numbers)
        lines.append(f"{row.name:>11}{written}  {' '.join(map(str, row.live_channels))}")
    return "\n".join(lines)


def measure(fields: dict[str, Any], options: argparse.Namespace) -> Iterator[Cost]:
    """Random masks; then all rounds, with the times of those that prune about as much."""
    noise = images_of(argparse.Namespace(size=options.size, data=None))
    random = [Pruned(f"random {1 - surviving:.1%}", random_mask(fields, surviving), None) for surviving in SURVIVING]
    yield from timed(random, fields, noise, options).values()
    if options.rounds:
        real = list(rounds(fields, options))
        costs = {network.name: cost(network, fields) for network in real}
        pruned = torch.tensor([each.pruned for each in costs.values()])
        chosen = sorted({int((1 - pruned - surviving).abs().argmin()) for surviving in SURVIVING})
        yield from (costs | timed([real[place] for place in chosen], fields, noise, options)).values()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64, help="channels of the first convolution (the paper's: 64)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="fp32")
    parser.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--repetitions", type=int, default=7, help="turns")
    parser.add_argument("--data", type=Path, metavar="ROOT", help="data root: holds cifar10/*.parquet")
    parser.add_argument("--rounds", type=int, default=0, help="of iterative pruning at 20 %%; 31 prune 99.9 %%")
    parser.add_argument("--per-class", type=int, default=500, help="training images a class")
    parser.add_argument("--epochs", type=int, default=1, help="of each round")
    parser.add_argument("--json", action="store_true", help="print JSON, not tables")
    options = parser.parse_args()
    if options.rounds and not options.data:
        parser.error("--rounds needs --data ROOT, the folder that holds cifar10/*.parquet.")
    options.size = 32
    deterministic()
    rows = list(measure(fields_of("vgg19", options), options))
    device = hardware(torch.device(options.device))
    setting = {name: str(value) for name, value in vars(options).items()}
    if options.json:
        print(json.dumps({"hardware": device, "options": setting, "masks": [asdict(row) for row in rows]}, indent=1))
    else:
        print(f"{device}\n{', '.join(f'{name} {value}' for name, value in setting.items())}\n{table(rows)}")


if __name__ == "__main__":
    main()
