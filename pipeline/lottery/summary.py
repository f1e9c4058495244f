"""What is left to say of a training once it is over."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NotRequired, TypedDict

from torch import Tensor, nn

from pipeline.lottery.history import Record, smallest_validation_loss
from pipeline.lottery.objective import EachNetwork, objective_of


class Summary(TypedDict):
    """Metrics are those of the last record; layers are those that a mask may be over."""

    test_accuracy: float
    test_loss: float | None
    train_accuracy: float | None
    train_loss: float | None
    iterations: int
    survivors: dict[str, int]
    """Weights left, by layer; of a dense network all."""
    total: dict[str, int]
    fraction_pruned: float
    early_stop: NotRequired[Record]
    """Of the record with the smallest validation loss, the first of equals."""
    networks: NotRequired[EachNetwork]
    """Of many networks at once."""


def summarized(
    model: nn.Module,
    layers: Mapping[str, Tensor],
    mask: Mapping[str, Tensor],
    history: Sequence[Record],
    iterations: int,
    test: Iterable[tuple[Tensor, Tensor]],
) -> Summary:
    """`mask`: over `layers`, empty of a dense network; `test`: batches of images and labels."""
    last, accuracy = history[-1], history[-1]["test_accuracy"]
    assert accuracy is not None  # as in every record
    total = {name: weight.numel() for name, weight in layers.items()}
    survivors = {name: int(kept.sum()) for name, kept in mask.items()} if mask else total
    summary = Summary(
        test_accuracy=accuracy,
        test_loss=last["test_loss"],
        train_accuracy=last["train_accuracy"],
        train_loss=last["train_loss"],
        iterations=iterations,
        survivors=survivors,
        total=total,
        # a network that is its output layer alone has nothing to prune
        fraction_pruned=1 - sum(survivors.values()) / sum(total.values()) if total else 0.0,
    )
    if (stopped := early_stop(history)) is not None:
        summary["early_stop"] = stopped
    if (each := objective_of(model).of_each(model, test)) is not None:
        summary["networks"] = each
    return summary


def early_stop(history: Sequence[Record]) -> Record | None:
    """Frankle & Carbin 2019, section 2. None where fewer than two records have a validation loss (a single one is no
    minimum), and of a training that diverged."""
    known = sum(record.get("validation_loss") is not None for record in history)
    best = smallest_validation_loss(history)
    if best is None or known < 2 or None in (history[-1]["train_loss"], history[-1]["test_loss"]):
        return None
    names = ("iteration", "epoch", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy")
    return {name: best[name] for name in names}
