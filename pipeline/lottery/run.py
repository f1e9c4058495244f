"""The state of one training run, and the steps that change it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.lottery.batch_norm import group_batch_norm
from pipeline.lottery.batches import Batches
from pipeline.lottery.checkpoint import Checkpoint, State, copied, weights_of
from pipeline.lottery.data import Images
from pipeline.lottery.evaluation import evaluate
from pipeline.lottery.history import Record, Tally, finite
from pipeline.lottery.layers import prunable
from pipeline.lottery.models import build
from pipeline.lottery.normalization import Normalization
from pipeline.lottery.optimizers import build_optimizer, learning_rate, restore, state_of
from pipeline.lottery.randomness import stream
from pipeline.lottery.transfer import copy_state, starting_point

EVALUATION_BATCH = 1024


class Run:
    """The state of one training run, and the steps that change it."""

    def __init__(
        self,
        fields: Mapping[str, Any],
        inputs: Mapping[str, State],
        images: Images,
        device: torch.device,
        model_file: str | Path | None,
    ) -> None:
        if fields.get("world_size", 1) != 1:
            raise ValueError(f"world_size is {fields['world_size']}: a stage trains on one worker; set workers to 1.")
        self.fields = fields
        self.device = device
        self.iteration: int = fields.get("first_iteration", 0)
        self.captured: dict[int, State] = {}
        self.history: list[Record] = []

        self.model = build(fields["model"], fields["input"], fields["classes"], model_file)
        self.mask = starting_point(self.model, fields, inputs)
        channels_last = fields.get("channels_last", False)
        self.model.to(device)
        if channels_last:
            self.model.to(memory_format=torch.channels_last)
        if "norm_batch" in fields:
            group_batch_norm(self.model, fields["norm_batch"])
        self.model.train()
        parameters = prunable(self.model, output=True)
        self.masked: list[Tensor] = [parameters[name] for name in self.mask]
        # In the parameters' own type and layout: one foreach multiplication, 0.05 ms for LeNet-300-100 where masks of
        # booleans take 0.25.
        self.masks = [
            torch.empty_like(parameter, requires_grad=False).copy_(mask)
            for parameter, mask in zip(self.masked, self.mask.values(), strict=True)
        ]
        self.optimizer = build_optimizer(fields["optimizer"], self.model.parameters())

        self.normalize = Normalization(images.mean, images.std, device, channels_last)
        self.batches = Batches(fields, images, self.normalize, device)
        self.test = images.test_x.to(device), images.test_y.to(device)
        self.tally = Tally(device)
        self.precision = _precision(fields, device)
        # For models that draw while they run (dropout): after the model is built, and the same for paired tickets.
        seed = stream("train", *self.batches.stream)
        if device.type == "cuda":
            torch.manual_seed(seed)  # the CPU's generator and the devices'
        else:
            torch.default_generator.manual_seed(seed)

    def step(self) -> None:
        """One iteration of SGD; waits for nothing on the device."""
        images, labels = self.batches.at(self.iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.fields, self.iteration)
        self.optimizer.zero_grad(set_to_none=True)
        with self.precision:
            outputs = self.model(images).float()
        loss = F.cross_entropy(outputs, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        # Several workers would average their gradients here.
        self.optimizer.step()
        self.prune()
        self.tally.add(loss, outputs, labels)
        self.iteration += 1

    @torch.no_grad()
    def prune(self) -> None:
        """Pruned weights to zero: momentum and weight decay have moved them."""
        if self.masked:
            torch._foreach_mul_(self.masked, self.masks)

    def capture(self) -> None:
        self.captured[self.iteration] = weights_of(self.model)

    def record(self) -> Record:
        """Evaluate, add a record to the history, begin new running sums."""
        train_loss, train_accuracy = self.tally.mean()
        self.tally.clear()
        # Without gradients, four training batches need less memory than one with them.
        batch_size = min(4 * self.fields["batch_size"], EVALUATION_BATCH)
        test_loss, test_accuracy = evaluate(self.model, *self.test, self.normalize, self.precision, batch_size)
        record: Record = {
            "iteration": self.iteration,
            "epoch": self.iteration / self.batches.per_epoch,
            "train_loss": finite(train_loss),
            "train_accuracy": train_accuracy,
            "test_loss": finite(test_loss),
            "test_accuracy": test_accuracy,
            "lr": learning_rate(self.fields, self.iteration - 1),
        }
        self.history.append(record)
        return record

    def checkpoint(self) -> Checkpoint:
        """A copy of everything that the next step depends on."""
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        return Checkpoint(
            iteration=self.iteration,
            model=weights_of(self.model),
            optimizer=state_of(self.optimizer),
            captured=dict(self.captured),
            history=list(self.history),
            sums=copied({"loss": self.tally.loss, "correct": self.tally.correct}),
            seen=self.tally.seen,
            random=random,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from where `checkpoint` was taken. Raises ValueError if it is of another model."""
        copy_state(self.model, checkpoint.model)
        restore(self.optimizer, checkpoint.optimizer)
        self.iteration = checkpoint.iteration
        self.captured = dict(checkpoint.captured)
        self.history = list(checkpoint.history)
        self.tally.restore(checkpoint.sums["loss"], checkpoint.sums["correct"], checkpoint.seen)
        torch.set_rng_state(checkpoint.random["cpu"])
        if "cuda" in checkpoint.random and self.device.type == "cuda":
            torch.cuda.set_rng_state(checkpoint.random["cuda"], self.device)

    def summary(self) -> dict[str, Any]:
        """Metrics of the last record, and survivors and totals by prunable layer (dense: all survive)."""
        layers = prunable(self.model, output=self.fields.get("start", {}).get("prunes_output", False))
        total = {name: weight.numel() for name, weight in layers.items()}
        survivors = {name: int(kept.sum()) for name, kept in self.mask.items()} if self.mask else total
        metrics = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")
        return {
            **{name: self.history[-1][name] for name in metrics},
            "iterations": self.iteration,
            "survivors": survivors,
            "total": total,
            "fraction_pruned": 1 - sum(survivors.values()) / sum(total.values()),
        }


def _precision(fields: Mapping[str, Any], device: torch.device) -> AbstractContextManager[object]:
    """The context of the forward pass: bfloat16 where it is exact enough, or nothing."""
    if "precision" not in fields:
        return nullcontext()
    if fields["precision"] != "bf16":
        raise ValueError(f"Unknown precision {fields['precision']!r}: use bf16, or leave it out for float32.")
    return torch.autocast(device.type, dtype=torch.bfloat16)
