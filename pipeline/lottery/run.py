"""One training run: a network under its mask, an objective, batches, and the step that brings them together."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor

from pipeline.lottery.checkpoint import Checkpoint, StateDict, WorkerState, copied, weights_of
from pipeline.lottery.class_scores import ClassScores
from pipeline.lottery.compilation import compiled
from pipeline.lottery.data import Images
from pipeline.lottery.evaluation import evaluate
from pipeline.lottery.feeds import Feeds
from pipeline.lottery.history import Record, RunningMetrics, finite
from pipeline.lottery.layers import counted
from pipeline.lottery.masked_weights import MaskedWeights
from pipeline.lottery.objective import objective_of
from pipeline.lottery.optimizers import build_optimizer, restore, state_of
from pipeline.lottery.parallel import ALONE, Group
from pipeline.lottery.randomness import generator_states, restore_generators, seed_models
from pipeline.lottery.summary import Summary, summarized
from pipeline.lottery.transfer import network
from pipeline.lottery.weights import copy_state
from pipeline.recipes.training import Train


class Run:
    """What a run is made of; on several workers, one rank's part of it."""

    def __init__(
        self,
        recipe: Train,
        inputs: Mapping[str, StateDict],
        images: Images,
        device: torch.device,
        model_file: str | Path | None,
        group: Group = ALONE,
    ) -> None:
        configuration = recipe.configuration
        if configuration.world_size != group.size:
            raise ValueError(f"world_size is {configuration.world_size}, but {group.size} worker(s) would train.")
        self.recipe, self.configuration, self.device, self.group = recipe, configuration, device, group
        self.iteration = recipe.first_iteration
        self.captured: dict[int, StateDict] = {}
        self.history: list[Record] = []

        self.model, self.mask = network(recipe, inputs, device, model_file)
        self.masked = MaskedWeights(counted(self.model, recipe.start.layers), self.mask)
        self.objective = objective_of(self.model)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = build_optimizer(configuration.optimizer, trained)
        self.forward = compiled(self.model) if configuration.compile else self.model
        self.feeds = Feeds(recipe, images, device, group)
        self.metrics = RunningMetrics(device)
        self.precision = _precision(configuration.precision, device)
        self._check_ranks({"mean of the data": images.mean.to(device), "deviation of the data": images.std.to(device)})
        self._parallel = group.data_parallel(ClassScores(self.forward))
        # after the model is built, and the same for paired tickets
        seed_models(device, "train", *self.feeds.train.stream, *(("rank", group.rank) if group.rank else ()))

    def step(self) -> None:
        """One iteration of SGD; waits for nothing on the device."""
        images, labels = self.feeds.train.at(self.iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = self.configuration.learning_rate(self.iteration)
        self.optimizer.zero_grad(set_to_none=True)
        with self.precision:
            scores = self._parallel(images).float()
        loss = self.objective.loss(scores, labels)
        descended = self.objective.descended(self._weighted(loss, len(labels)))
        descended.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        self.optimizer.step()
        self.masked.prune()
        self.metrics.add(loss, scores, labels)
        self.iteration += 1

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
        trained = self.metrics.mean(self.group) if self.iteration else None
        self.metrics.clear()
        record: Record = {
            "iteration": self.iteration,
            "epoch": self.iteration / self.feeds.train.per_epoch,
            "train_loss": finite(trained[0]) if trained else None,
            "train_accuracy": trained[1] if trained else None,
        }
        for name, batches in (("test", self.feeds.test), ("validation", self.feeds.validation)):
            if batches is not None:
                of = evaluate(self.forward, batches, self.precision, self.device, self.group, self.objective)
                record |= {f"{name}_loss": finite(of[0]), f"{name}_accuracy": of[1]}
        record["lr"] = self.configuration.learning_rate(self.iteration - 1) if trained else None
        self.history.append(record)
        return record

    def checkpoint(self) -> Checkpoint:
        """A copy of everything that the next step depends on. All ranks call it at once; rank 0's is the one kept."""
        own = WorkerState(
            sums=copied(self.metrics.sums),
            seen=self.metrics.seen,
            random=generator_states(self.device),
            buffers={} if self.group.leads else copied(dict(self.model.named_buffers())),
        )
        return Checkpoint(
            iteration=self.iteration,
            model=weights_of(self.model),
            optimizer=state_of(self.optimizer),
            captured=dict(self.captured),
            history=list(self.history),
            workers=self.group.everyone(own),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from where `checkpoint` was taken. Raises ValueError if it is of another model."""
        copy_state(self.model, checkpoint.model)
        restore(self.optimizer, checkpoint.optimizer)
        self.iteration = checkpoint.iteration
        self.captured, self.history = dict(checkpoint.captured), list(checkpoint.history)
        own = checkpoint.workers[self.group.rank]
        buffers = dict(self.model.named_buffers())
        for name, value in own.buffers.items():
            buffers[name].copy_(value)
        self.metrics.restore(own.sums, own.seen)
        restore_generators(own.random, self.device)

    def close(self) -> None:
        """End what serves the images."""
        self.feeds.close()

    def summary(self) -> Summary:
        """Of the run as it was recorded last."""
        layers = counted(self.model, self.recipe.start.layers)
        return summarized(self.model, layers, self.mask, self.history, self.iteration, self.feeds.test)

    def _weighted(self, loss: Tensor, part: int) -> Tensor:
        """This rank's mean `loss` over `part` images, so that gradients average to those of the whole batch's mean."""
        if self.group.size == 1:
            return loss
        return loss * self.group.weight(part, self.feeds.train.count(self.iteration))

    def _check_ranks(self, more: Mapping[str, Tensor]) -> None:
        """Raises RuntimeError if masks, weights or `more` differ between the ranks: they never talk of them else."""
        recipe, of = self.recipe, self.configuration
        what = f"{of.model.name} on {of.data.name}, round {recipe.round}, seed {recipe.seed}"
        masks = {f"mask of {name}": mask for name, mask in self.masked.masks.items()}
        tensors = {**masks, **dict(self.model.named_parameters()), **more}
        self.group.check_equal(tensors, f"{what}, iteration {self.iteration}")


def _precision(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context of the forward pass: bfloat16 where it is exact enough, or nothing."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, dtype=torch.bfloat16)
