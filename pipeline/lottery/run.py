"""The state of one training run, and the steps that change it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.lottery.batch_norm import group_batch_norm
from pipeline.lottery.batches import Batches, TestBatches
from pipeline.lottery.checkpoint import Checkpoint, Own, State, copied, weights_of
from pipeline.lottery.class_scores import ClassScores
from pipeline.lottery.compilation import compiled
from pipeline.lottery.data import Images
from pipeline.lottery.evaluation import batch_size, evaluate, mean_loss
from pipeline.lottery.freezing import freeze_features
from pipeline.lottery.history import Record, Tally, early_stop, finite
from pipeline.lottery.layers import counted
from pipeline.lottery.many_networks import is_many, of_each
from pipeline.lottery.models import build
from pipeline.lottery.normalization import Normalization
from pipeline.lottery.optimizers import build_optimizer, restore, state_of
from pipeline.lottery.parallel import ALONE, Group
from pipeline.lottery.randomness import stream
from pipeline.lottery.transfer import copy_state, starting_point
from pipeline.recipes.training import Train


class Run:
    """The state of one training run, and the steps that change it; on several workers, one rank's part of it."""

    def __init__(
        self,
        recipe: Train,
        inputs: Mapping[str, State],
        images: Images,
        device: torch.device,
        model_file: str | Path | None,
        group: Group = ALONE,
    ) -> None:
        configuration = recipe.configuration
        if configuration.world_size != group.size:
            raise ValueError(f"world_size is {configuration.world_size}, but {group.size} worker(s) would train.")
        self.group = group
        self.recipe, self.configuration = recipe, configuration
        self.device = device
        self.iteration = recipe.first_iteration
        self.captured: dict[int, State] = {}
        self.history: list[Record] = []

        self.model = build(configuration.model, configuration.input, configuration.classes, model_file)
        self.mask = starting_point(self.model, recipe, inputs)
        channels_last = configuration.channels_last
        self.model.to(device)
        if channels_last:
            self.model.to(memory_format=torch.channels_last)
        if configuration.groups_a_worker is not None:
            group_batch_norm(self.model, configuration.groups_a_worker)
        self.model.train()
        if configuration.frozen is not None:
            freeze_features(self.model)
        parameters = counted(self.model, recipe.start.layers)
        moving = {name: mask for name, mask in self.mask.items() if parameters[name].requires_grad}
        self.masked: dict[str, Tensor] = {name: parameters[name] for name in moving}
        # In the parameters' own type and layout: one foreach multiplication, 0.05 ms for LeNet-300-100 where masks of
        # booleans take 0.25.
        self.masks = [
            torch.empty_like(parameter, requires_grad=False).copy_(mask)
            for parameter, mask in zip(self.masked.values(), moving.values(), strict=True)
        ]
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = build_optimizer(configuration.optimizer, trained)
        self.forward = compiled(self.model) if configuration.compile else self.model

        self.normalize = Normalization(images.mean, images.std, device, channels_last)
        self.batches = Batches(recipe, images, self.normalize, device, group.rank, group.size)
        self._check_parts()
        at_once = batch_size(-(-configuration.schedule.batch_size // group.size), configuration.input, device)
        self.test = TestBatches(images, self.normalize, device, at_once, group.rank, group.size)
        held_out = images.validating
        self.validation: TestBatches | None = None
        if held_out is not None:
            self.validation = TestBatches(held_out, self.normalize, device, at_once, group.rank, group.size)
        self.tally = Tally(device)
        self.precision = _precision(configuration.precision, device)
        self._check_ranks({"mean of the data": images.mean.to(device), "deviation of the data": images.std.to(device)})
        self._parallel = group.data_parallel(ClassScores(self.forward))
        # For models that draw while they run (dropout): after the model is built, and the same for paired tickets.
        of_rank = ("rank", group.rank) if group.rank else ()
        seed = stream("train", *self.batches.stream, *of_rank)
        if device.type == "cuda":
            torch.manual_seed(seed)  # the CPU's generator and the devices'
        else:
            torch.default_generator.manual_seed(seed)

    def step(self) -> None:
        """One iteration of SGD; waits for nothing on the device."""
        images, labels = self.batches.at(self.iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = self.configuration.learning_rate(self.iteration)
        self.optimizer.zero_grad(set_to_none=True)
        with self.precision:
            outputs = self._parallel(images).float()
        loss = mean_loss(outputs, labels)
        weighted = self._weighted(loss, len(labels))
        if outputs.ndim == 3:  # each of many networks follows the gradient of its own loss, as if it were alone
            weighted = weighted * outputs.shape[0]
        weighted.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.prune()
        self.tally.add(loss, outputs, labels)
        self.iteration += 1

    @torch.no_grad()
    def prune(self) -> None:
        """Pruned weights to zero: momentum and weight decay have moved them."""
        if self.masked:
            torch._foreach_mul_(list(self.masked.values()), self.masks)

    def capture(self) -> None:
        """Keep the weights of this moment; rank 0 does, whose buffers count."""
        if self.group.leads:
            self.captured[self.iteration] = weights_of(self.model)

    def record(self) -> Record:
        """Evaluate, add a record to the history, begin new running sums.

        From here on, the buffers of all ranks are rank 0's.
        """
        self._check_ranks({})
        self.group.spread(self.model.buffers())
        # before the first iteration there is nothing to tell of training
        trained = self.tally.mean(self.group) if self.iteration else None
        self.tally.clear()
        test_loss, test_accuracy = evaluate(self.forward, self.test, self.precision, self.device, self.group)
        record: Record = {
            "iteration": self.iteration,
            "epoch": self.iteration / self.batches.per_epoch,
            "train_loss": finite(trained[0]) if trained else None,
            "train_accuracy": trained[1] if trained else None,
            "test_loss": finite(test_loss),
            "test_accuracy": test_accuracy,
            **self._validated(),
            "lr": self.configuration.learning_rate(self.iteration - 1) if trained else None,
        }
        self.history.append(record)
        return record

    def checkpoint(self) -> Checkpoint:
        """A copy of everything that the next step depends on. All ranks call it at once; rank 0's is the one kept."""
        return Checkpoint(
            iteration=self.iteration,
            model=weights_of(self.model),
            optimizer=state_of(self.optimizer),
            captured=dict(self.captured),
            history=list(self.history),
            own=self.group.everyone(self._own()),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from where `checkpoint` was taken. Raises ValueError if it is of another model."""
        copy_state(self.model, checkpoint.model)
        restore(self.optimizer, checkpoint.optimizer)
        self.iteration = checkpoint.iteration
        self.captured = dict(checkpoint.captured)
        self.history = list(checkpoint.history)
        own = checkpoint.own[self.group.rank]
        buffers = dict(self.model.named_buffers())
        for name, value in own.buffers.items():
            buffers[name].copy_(value)
        self.tally.restore(own.sums["loss"], own.sums["correct"], own.seen)
        torch.set_rng_state(own.random["cpu"])
        if "cuda" in own.random and self.device.type == "cuda":
            torch.cuda.set_rng_state(own.random["cuda"], self.device)

    def close(self) -> None:
        """End what serves the images."""
        self.batches.close()
        self.test.close()
        if self.validation is not None:
            self.validation.close()

    def summary(self) -> dict[str, Any]:
        """Metrics of the last record, and survivors and totals by layer that is counted (dense: all survive).

        `early_stop`: of the record with the smallest validation loss, where there is one. `networks`: of each of
        many networks, as `many_networks.of_each`.
        """
        layers = counted(self.model, self.recipe.start.layers)
        total = {name: weight.numel() for name, weight in layers.items()}
        survivors = {name: int(kept.sum()) for name, kept in self.mask.items()} if self.mask else total
        metrics = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")
        return {
            **{name: self.history[-1][name] for name in metrics},
            "iterations": self.iteration,
            "survivors": survivors,
            "total": total,
            # a network that is its output layer alone has nothing to prune
            "fraction_pruned": 1 - sum(survivors.values()) / sum(total.values()) if total else 0.0,
            **early_stop(self.history),
            **({"networks": of_each(self.model, self.test)} if is_many(self.model) else {}),
        }

    def _validated(self) -> Record:
        if self.validation is None:
            return {}
        loss, accuracy = evaluate(self.forward, self.validation, self.precision, self.device, self.group)
        return {"validation_loss": finite(loss), "validation_accuracy": accuracy}

    def _weighted(self, loss: Tensor, part: int) -> Tensor:
        """This rank's mean `loss` over `part` images, so that gradients average to those of the whole batch's mean."""
        if self.group.size == 1:
            return loss
        return loss * self.group.weight(part, self.batches.count(self.iteration))

    def _own(self) -> Own:
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        return Own(
            sums=copied({"loss": self.tally.loss, "correct": self.tally.correct}),
            seen=self.tally.seen,
            random=random,
            buffers={} if self.group.leads else copied(dict(self.model.named_buffers())),
        )

    def _check_parts(self) -> None:
        last = self.batches.count(self.batches.per_epoch - 1)
        if last < self.group.size:
            raise ValueError(
                f"The last batch of an epoch has {last} of {self.configuration.schedule.batch_size} images, fewer than "
                f"the {self.group.size} workers that share it: choose another batch size, or fewer workers."
            )

    def _check_ranks(self, more: Mapping[str, Tensor]) -> None:
        """Raises RuntimeError if masks, weights or `more` differ between the ranks: they never talk of them else."""
        recipe, of = self.recipe, self.configuration
        what = f"{of.model.name} on {of.data.name}, round {recipe.round}, seed {recipe.seed}"
        masks = {f"mask of {name}": mask for name, mask in zip(self.masked, self.masks, strict=True)}
        tensors = {**masks, **dict(self.model.named_parameters()), **more}
        self.group.check_equal(tensors, f"{what}, iteration {self.iteration}")


def _precision(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context of the forward pass: bfloat16 where it is exact enough, or nothing."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, dtype=torch.bfloat16)
