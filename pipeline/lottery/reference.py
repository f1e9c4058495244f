"""The whole method, straight on, in plain torch: Morcos et al. 2019, section 3. What the engine makes is this, bit for
bit; it shares the random streams and the networks with it, and neither loops, masks, feeds nor stages."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.lottery.checkpoint import State, weights_of
from pipeline.lottery.data import Images
from pipeline.lottery.layers import is_below, output_layer, prunable
from pipeline.lottery.models import build, initialize
from pipeline.lottery.randomness import generator
from pipeline.recipes.configuration import Configuration
from pipeline.recipes.keys import canonical
from pipeline.recipes.optimizers import SGD


@dataclass(frozen=True)
class WinningTicket:
    mask: State
    weights: State
    network: nn.Module
    """Trained from them."""


def winning_tickets(
    of: Configuration, images: Images, seed: int, rate: float, rounds: int, rewind: int
) -> Iterator[WinningTicket]:
    """Iterative magnitude pruning with late resetting: the ticket of each round."""
    network = fresh(of, seed)
    mask = {name: torch.ones(weight.shape, dtype=torch.bool) for name, weight in prunable(network).items()}
    rewound = train(network, mask, of, images, seed, 0)[rewind]
    for number in range(1, rounds + 1):
        mask = pruned(network, mask, rate)
        weights = put(network, rewound, mask)
        train(network, mask, of, images, seed, number)
        yield WinningTicket(mask, weights, copy.deepcopy(network))


def transferred(ticket: WinningTicket, of: Configuration, images: Images, seed: int, number: int) -> nn.Module:
    """The ticket of round `number` trained on a target, where its output layer is drawn anew."""
    network = fresh(of, seed)
    head = {name: value for name, value in network.state_dict().items() if is_below(name, output_layer(network))}
    put(network, {**ticket.weights, **head}, ticket.mask)
    train(network, ticket.mask, of, images, seed, number)
    return network


def fresh(of: Configuration, seed: int) -> nn.Module:
    network = build(of.model, of.input, of.classes)
    initialize(network, seed, of.model)
    return network


def put(network: nn.Module, weights: State, mask: State) -> State:
    """Weights into a network, what is pruned of them 0; a copy of what it is then."""
    network.load_state_dict({name: weights[name] * mask[name] if name in mask else weights[name] for name in weights})
    return weights_of(network)


def train(network: nn.Module, mask: State, of: Configuration, images: Images, seed: int, number: int) -> list[State]:
    """Train as round `number`; the weights before each iteration, and at the end."""
    x, y = normalized(images, images.train_x), images.train_y
    sgd = of.optimizer
    assert isinstance(sgd, SGD)
    decay, nesterov = sgd.weight_decay, sgd.nesterov
    optimizer = torch.optim.SGD(network.parameters(), sgd.lr, sgd.momentum, 0, decay, nesterov, fused=True)
    size, states, order = of.schedule.batch_size, [weights_of(network)], y
    for iteration in range(of.schedule.iterations):
        epoch, step = divmod(iteration, -(-len(y) // size))
        if step == 0:
            stream = generator("order", seed, canonical(of.data.fields()), number, epoch)
            order = torch.randperm(len(y), generator=stream)
        batch = order[step * size : (step + 1) * size]
        optimizer.param_groups[0]["lr"] = of.learning_rate(iteration)
        optimizer.zero_grad()
        F.cross_entropy(network(x[batch]), y[batch]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            for name, weight in prunable(network).items():
                weight.mul_(mask[name])
        states.append(weights_of(network))
    return states


def pruned(network: nn.Module, mask: State, rate: float) -> State:
    """Without the `rate` of the surviving weights whose magnitudes are the smallest, over all layers."""
    alive = torch.cat([kept.flatten() for kept in mask.values()])
    places = alive.nonzero().flatten()
    magnitudes = torch.cat([weight.detach().abs().flatten() for weight in prunable(network).values()])[places]
    alive[places[magnitudes.argsort(stable=True)[: round(rate * len(places))]]] = False
    parts = torch.split(alive, [kept.numel() for kept in mask.values()])
    return {name: part.view(kept.shape) for (name, kept), part in zip(mask.items(), parts, strict=True)}


@torch.no_grad()
def accuracy(network: nn.Module, images: Images) -> float:
    """On the test images."""
    right = network.eval()(normalized(images, images.test_x)).argmax(1) == images.test_y
    network.train()
    return float(right.double().mean())


def normalized(images: Images, pixels: object) -> Tensor:
    """float32 [N, C, H, W] of pixels in memory."""
    assert isinstance(pixels, Tensor)
    mean, std = (value.double().view(1, -1, 1, 1) for value in (images.mean, images.std))
    return (pixels.float() - (255 * mean).float()) * (1 / (255 * std)).float()
