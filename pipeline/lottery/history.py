"""The metrics of a training run: one record every so many iterations, and the running sums behind it."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pipeline.lottery.parallel import ALONE, Group

Record = dict[str, float | None]
"""Metrics after `iteration` iterations. Accuracies are in [0, 1]; a loss that is not finite is None (JSON has no NaN).

`epoch` is iterations / iterations an epoch. `train_loss` and `train_accuracy` are over the augmented batches since the
last record, with the weights of that moment; `test_loss` and `test_accuracy` over the whole test set, and
`validation_loss` and `validation_accuracy` over the images held out for it, where there are any; of many networks at
once they are means over networks. `lr` is the last iteration's. A network that is evaluated without training has one
record, at iteration 0: `train_loss`, `train_accuracy` and `lr` are None there, and say nothing of divergence.
"""


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def diverged(record: Record) -> bool:
    """Whether a loss is not finite; that of training is not there at iteration 0, before anything was trained."""
    return record["test_loss"] is None or (record["train_loss"] is None and record["iteration"] != 0)


def smallest_validation_loss(history: Sequence[Record]) -> Record | None:
    """The record that has it, the first of equals; None where no record has a finite one."""
    known = [record for record in history if record.get("validation_loss") is not None]
    return min(known, key=lambda record: record["validation_loss"] or 0.0, default=None)


COUNTED_TOGETHER = 16
"""Batches whose correct answers are counted at once: each small operation costs 15 us in a step of 2 ms."""


class RunningMetrics:
    """Sums of loss and correct answers, kept on the device: adding to them waits for nothing."""

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.seen = 0
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        self._uncounted: list[tuple[Tensor, Tensor]] = []

    def add(self, loss: Tensor, outputs: Tensor, labels: Tensor) -> None:
        """Take a batch in: mean loss [], outputs [B, classes] or [networks, B, classes], labels [B]."""
        answers = outputs.shape[:-1].numel()
        self.loss.add_(loss.detach(), alpha=answers)
        self.seen += answers
        self._uncounted.append((outputs.detach(), labels))
        if len(self._uncounted) == COUNTED_TOGETHER:
            self._count()

    @property
    def correct(self) -> Tensor:
        """How many answers were right: int64 [], the same whenever it is asked for."""
        if self._uncounted:
            self._count()
        return self._correct

    def _count(self) -> None:
        outputs, labels = zip(*self._uncounted, strict=True)
        self._correct.add_((torch.cat(outputs, dim=-2).argmax(-1) == torch.cat(labels)).sum())
        self._uncounted.clear()

    def mean(self, group: Group = ALONE) -> tuple[float, float]:
        """Loss and accuracy over what the whole group took in; waits for the device."""
        loss, correct, seen = group.total(self.loss.item(), self.correct.item(), self.seen)
        return loss / seen, correct / seen

    def clear(self) -> None:
        """Begin again at zero."""
        self.restore({"loss": torch.zeros(()), "correct": torch.zeros(())}, 0)

    @property
    def sums(self) -> dict[str, Tensor]:
        """What `restore` goes on from, beside `seen`."""
        return {"loss": self.loss, "correct": self.correct}

    def restore(self, sums: Mapping[str, Tensor], seen: int) -> None:
        self.loss.copy_(sums["loss"])
        self._correct.copy_(sums["correct"])
        self._uncounted.clear()
        self.seen = seen
