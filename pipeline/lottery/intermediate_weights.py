"""Weights that are wanted of the middle of a training: after given iterations, or where early stopping would end it."""

from collections.abc import Set
from dataclasses import dataclass

from pipeline.lottery.checkpoint import Checkpoint, StateDict
from pipeline.lottery.data import Images
from pipeline.lottery.history import smallest_validation_loss
from pipeline.lottery.run import Run


@dataclass(frozen=True, slots=True)
class IntermediateWeights:
    """What is wanted; a run keeps it by iterations done, in `captured`, and a checkpoint of the run along with it."""

    iterations: Set[int]
    early_stop: bool
    """Those of the record with the smallest validation loss, the first of equals."""

    def check(self, first: int, last: int, images: Images) -> None:
        """Raises ValueError if a run from iteration `first` to `last` on `images` never has what is wanted."""
        outside = sorted(k for k in self.iterations if not first <= k <= last)
        if outside:
            raise ValueError(f"Weights are wanted after {outside[0]} iterations; the run goes from {first} to {last}.")
        if self.early_stop and images.validation is None:
            raise ValueError(
                "The weights of the smallest validation loss are wanted, and no images are held out: set validation."
            )

    def all_in(self, checkpoint: Checkpoint) -> bool:
        """Whether a run can go on from `checkpoint`: what is wanted may have grown since it was taken."""
        needed = {k for k in self.iterations if k <= checkpoint.iteration}
        best = smallest_validation_loss(checkpoint.history) if self.early_stop else None
        if best is not None:
            needed.add(_iteration(best))
        return needed <= checkpoint.captured.keys()

    def stepped(self, run: Run) -> None:
        """Keep the weights of this iteration, if they are wanted."""
        if run.iteration in self.iterations:
            run.capture()

    def recorded(self, run: Run) -> None:
        """Keep the weights of this record, in the place of an earlier one's, if its validation loss is the smallest."""
        best = smallest_validation_loss(run.history) if self.early_stop else None
        if best is None or best is not run.history[-1]:
            return
        before = smallest_validation_loss(run.history[:-1])
        if before is not None and _iteration(before) not in self.iterations:
            run.captured.pop(_iteration(before), None)  # only the leading worker has it
        run.capture()

    def of_iterations(self, run: Run) -> dict[int, StateDict]:
        """By iterations done."""
        return {k: state for k, state in run.captured.items() if k in self.iterations}

    def of_early_stop(self, run: Run) -> StateDict | None:
        """None where they are not wanted, and on workers that do not lead.

        Raises ValueError where no validation loss was finite: there is no smallest one.
        """
        if not self.early_stop:
            return None
        best = smallest_validation_loss(run.history)
        if best is None:
            raise ValueError(
                f"The weights of the smallest validation loss are wanted, and none of {len(run.history)} records has a "
                "finite one. Let the ticket start from the final weights (start: final), or look at the validation "
                "images."
            )
        return run.captured.get(_iteration(best))


def _iteration(record: dict[str, float | None]) -> int:
    return int(record["iteration"] or 0)
