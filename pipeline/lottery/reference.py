"""The whole method in plain torch: train, prune, rewind, evaluate (Morcos et al. 2019, section 3).

What the engine makes is this, bit for bit: it shares networks and random streams with it, and neither loops nor masks,
feeds, stages.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.lottery.checkpoint import StateDict, weights_of
from pipeline.lottery.data import Images
from pipeline.lottery.layers import is_below, output_layer, prunable
from pipeline.lottery.models import build, initialize
from pipeline.lottery.randomness import generator
from pipeline.recipes.configuration import Configuration
from pipeline.recipes.keys import canonical
from pipeline.recipes.optimizers import SGD


def winning_tickets(
    of: Configuration, images: Images, seed: int, rate: float, rounds: int, iteration: int
) -> Iterator[tuple[StateDict, StateDict, StateDict]]:
    """Mask, weights, and trained weights of each round's ticket, rewound to `iteration`."""
    network = fresh(of, seed)
    mask = {name: torch.ones(weight.shape, dtype=torch.bool) for name, weight in prunable(network).items()}
    rewound = train(network, mask, of, images, seed, 0, iteration)
    for number in range(1, rounds + 1):
        mask = prune(network, mask, rate)
        weights = rewind(network, rewound, mask)
        train(network, mask, of, images, seed, number)
        yield mask, weights, weights_of(network)


def transferred(
    mask: StateDict, weights: StateDict, of: Configuration, images: Images, seed: int, number: int
) -> nn.Module:
    """The ticket of round `number`, trained on another data set, where its output layer is drawn anew."""
    network = fresh(of, seed)
    head = {name: value for name, value in network.state_dict().items() if is_below(name, output_layer(network))}
    rewind(network, weights | head, mask)
    train(network, mask, of, images, seed, number)
    return network


def fresh(of: Configuration, seed: int) -> nn.Module:
    network = build(of.model, of.input, of.classes)
    initialize(network, seed, of.model)
    return network


def train(
    network: nn.Module, mask: StateDict, of: Configuration, images: Images, seed: int, number: int, keep: int = 0
) -> StateDict:
    """Train as round `number`; the weights after `keep` iterations."""
    x, y, size = normalized(images, images.train_x), images.train_y, of.schedule.batch_size
    sgd = of.optimizer
    assert isinstance(sgd, SGD)
    decay, nesterov = sgd.weight_decay, sgd.nesterov
    optimizer = torch.optim.SGD(network.parameters(), sgd.lr, sgd.momentum, 0, decay, nesterov, fused=True)
    for iteration in range(of.schedule.iterations):
        if iteration == keep:
            kept = weights_of(network)
        epoch, step = divmod(iteration, -(-len(y) // size))
        draws = generator("order", seed, canonical(of.data.fields()), number, epoch)
        batch = torch.randperm(len(y), generator=draws)[step * size : (step + 1) * size]
        optimizer.param_groups[0]["lr"] = of.learning_rate(iteration)
        optimizer.zero_grad()
        F.cross_entropy(network(x[batch]), y[batch]).backward()  # type: ignore[no-untyped-call]  # torch has no type
        optimizer.step()
        for name, weight in prunable(network).items():
            weight.data *= mask[name]
    return kept


def prune(network: nn.Module, mask: StateDict, rate: float) -> StateDict:
    """Without the `rate` of the surviving weights whose magnitudes are the smallest, over all layers."""
    alive = torch.cat([kept.flatten() for kept in mask.values()])
    magnitudes = torch.cat([weight.detach().abs().flatten() for weight in prunable(network).values()])
    survivors = alive.nonzero().flatten()
    alive[survivors[magnitudes[survivors].argsort(stable=True)[: round(rate * len(survivors))]]] = False
    layers = zip(mask, torch.split(alive, [kept.numel() for kept in mask.values()]), strict=True)
    return {name: part.view(mask[name].shape) for name, part in layers}


def rewind(network: nn.Module, weights: StateDict, mask: StateDict) -> StateDict:
    """Weights into a network, what is pruned of them 0; a copy of what it is then."""
    network.load_state_dict({name: value * mask[name] if name in mask else value for name, value in weights.items()})
    return weights_of(network)


@torch.no_grad()
def evaluate(network: nn.Module, images: Images) -> float:
    """Accuracy on the test images."""
    right = network.eval()(normalized(images, images.test_x)).argmax(1) == images.test_y
    return float(right.double().mean())


def normalized(images: Images, pixels: object) -> Tensor:
    """float32 [N, C, H, W] of pixels in memory."""
    assert isinstance(pixels, Tensor)
    mean, std = (value.double().view(1, -1, 1, 1) for value in (images.mean, images.std))
    return (pixels.float() - (255 * mean).float()) * (1 / (255 * std)).float()
