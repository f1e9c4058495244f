"""What is trained on a target to evaluate a chain's tickets there, and whether they fit it."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.experiment.chains import Chain, prunes_output, train_stage
from pipeline.experiment.rewind_points import check_early_stop, check_moment
from pipeline.experiment.sides import Side
from pipeline.experiment.spec import Spec
from pipeline.experiment.spec_pruning import Prune
from pipeline.experiment.spec_tickets import TicketKind
from pipeline.experiment.stages import Stage
from pipeline.experiment.survivors import Rounds
from pipeline.recipes.controls import Control
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.starts import Dense, FromCount
from pipeline.recipes.steps import Steps


@dataclass(frozen=True, slots=True)
class Evaluation:
    ticket: str
    round: int
    stage: Stage
    counts_only: bool
    """Whether the source matters only by how many weights survive."""
    draw: int = 0


def evaluations(spec: Spec, chain: Chain, target: Side) -> Iterator[Evaluation]:
    """Every evaluated round of every ticket of `chain` on `target`.

    A winning ticket on its own source has the fields, and so the key, of the chain's next training.
    """
    for ticket in spec.tickets:
        head = _redraws_head(spec, ticket, chain.source, target)
        moment = _moment(ticket, chain.prune)
        for number in chain.prune.evaluated:
            # nothing of the dense network is drawn but its initialization, which the seed gives
            for draw in range(ticket.draws if number else 1):
                stage = _stage(ticket, chain, target, number, moment, head, draw)
                if stage is not None:
                    yield Evaluation(ticket.name, number, stage, ticket.counts_only, draw)


def dense_draws(spec: Spec, rounds: Collection[int]) -> int:
    """How many dense networks a seed trains on a target whose tickets are evaluated at `rounds`.

    Where they are repeated, each kind of ticket has one for each round but the dense one (`dense_draw`).
    """
    pruned = [number for number in rounds if number]
    return max(1, len(spec.tickets) * len(pruned)) if spec.dense == "repeated" else 1


def dense_draw(tickets: Sequence[str], rounds: Collection[int], ticket: str, number: int) -> int:
    """Which of a target's repeated dense networks stands beside a ticket of round `number`.

    `tickets`: the grid's, in its order; `rounds`: those that are evaluated on the target.
    """
    pruned = sorted(each for each in rounds if each)
    return tickets.index(ticket) * len(pruned) + pruned.index(number)


def check_transfer(spec: Spec, prune: Prune, rounds: Rounds, source: Side, target: Side) -> None:
    """Raises UnfitError, with the whole path in the spec, if tickets of `source` cannot be trained on `target`."""
    by_classes = source.data.shape == target.data.shape and source.data.classes != target.data.classes
    here_and_there = (
        zip(target.layers[:-1], source.layers[:-1], strict=False),
        zip(target.model.unmasked, source.model.unmasked, strict=False),
    )
    for (name, here), (_, there) in itertools.chain(*here_and_there):
        if here != there and by_classes:
            raise UnfitError(
                f"tickets of source {source.name!r}, of {source.data.classes} classes, do not fit the "
                f"{target.data.classes} classes here: {name} is {_by(there)} there and {_by(here)} here. It depends on "
                "the number of classes and is not the output layer: leave it out of the model, or exclude the pair "
                "(pairs).",
                *target.at,
                "dataset",
            )
        if here != there:
            raise UnfitError(
                f"tickets of source {source.name!r}, found on images of {_size(source)}, do not fit the images of "
                f"{_size(target)} here: {name} is {_by(there)} there and {_by(here)} here. Make the images equal "
                "(dataset: resize, crop, channels), take a model for any size (convnet), or exclude the pair (pairs).",
                *target.at,
                "dataset",
            )
    if prunes_output(rounds, source) and source.data.classes != target.data.classes:
        raise UnfitError(
            f"a pruned output layer of {source.data.classes} classes does not fit target {target.name!r} with "
            f"{target.data.classes}.",
            *source.at,
            "prune",
            "prune_output",
        )
    if prune.prune_output and source.head:
        raise UnfitError(
            f"the head of {source.name!r} has hidden layers, and tickets are of what comes before a head: leave "
            "model.head out of the source, or set prune_output: false.",
            *source.at,
            "prune",
            "prune_output",
        )
    if prune.prune_output and source.head != target.head:
        raise UnfitError(
            f"a pruned output layer does not fit target {target.name!r}, whose head is another one.",
            *source.at,
            "prune",
            "prune_output",
        )
    for index, ticket in enumerate(spec.tickets):
        if prune.units is not None and (ticket.mask != "preserved" or ticket.weights == "shuffled"):
            raise UnfitError(
                "units are pruned whole: a control that moves single weights would tear them apart. Use "
                "{mask: preserved, weights: redrawn}.",
                "tickets",
                index,
            )
        if ticket.weights == "redrawn":
            continue
        at = ("tickets", index, "head") if ticket.head else ("head",)
        if source.head != target.head and (ticket.head or spec.head) == "keep":
            raise UnfitError(
                f"the head of {source.name!r} cannot be kept where {target.name!r} has another one: set head: auto or "
                "redraw.",
                *at,
            )
        if source.data.classes != target.data.classes and not _redraws_head(spec, ticket, source, target):
            raise UnfitError(
                f"a head for the {source.data.classes} classes of {source.name!r} cannot be kept for the "
                f"{target.data.classes} of {target.name!r}: set head: auto or redraw.",
                *at,
            )
        if isinstance(ticket.start, Steps):
            check_moment(ticket.start, source, "tickets", index, "start")
        if ticket.start == "early-stop":
            check_early_stop(source, "tickets", index, "start")
        moment = _moment(ticket, prune)
        if target.trains_remainder and isinstance(moment, Steps) and target.moment(moment) >= target.iterations:
            raise UnfitError(
                f"remainder leaves nothing to train after {moment} of {target.iterations:,} iterations.",
                *target.at,
                "training",
                "after_rewind",
            )


def _moment(ticket: TicketKind, prune: Prune) -> Any:
    return prune.rewind if ticket.start in (None, "redrawn") else ticket.start


def _redraws_head(spec: Spec, ticket: TicketKind, source: Side, target: Side) -> bool:
    return source.head != target.head or spec.redraws_head(
        ticket,
        same_training=source.identity == target.identity,
        same_data=source.data_identity == target.data_identity,
    )


def _stage(
    ticket: TicketKind, chain: Chain, target: Side, number: int, moment: Any, head: bool, draw: int
) -> Stage | None:
    source = "any" if ticket.counts_only else chain.source.name
    label = f"{ticket.name} {source} -> {target.name} seed {chain.seed} round {number}"
    if draw:
        label += f" draw {draw}"
    if number == 0:
        # nothing is pruned yet: there is no mask to permute, and only the weights can differ from the dense network's
        if ticket.weights == "shuffled":
            return None
        if ticket.weights == "redrawn":
            return train_stage(target, chain.seed, 0, Dense(), label)
        starts_as_chain = chain.weights(0, moment) == chain.weights(0, chain.prune.rewind)
        if chain.source.identity == target.identity and starts_as_chain and not head:
            return chain.trainings[0]
    control = None if ticket.is_winning else Control(ticket.mask, ticket.weights, draw)
    if control is not None and control.counts_only:
        start = FromCount(chain.rounds.survivors[number], control, chain.masked_layers)
        return train_stage(target, chain.seed, number, start, label)
    of_ticket = chain.start(number, moment, head, control if number else None)
    first = chain.first_iteration(target, moment) if ticket.weights != "redrawn" else 0
    return train_stage(target, chain.seed, number, of_ticket, label, first)


def _size(side: Side) -> str:
    return _by(side.data.shape)


def _by(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
