"""Whether the moments that tickets start from are in the training of their source."""

from pipeline.experiment.sides import Side
from pipeline.experiment.spec_pruning import Prune
from pipeline.lottery.counting import count_of
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.models import Perceptron
from pipeline.recipes.steps import Steps


def check_rewind(prune: Prune, source: Side) -> None:
    """Raises UnfitError if the rewind is after the end of training."""
    if isinstance(prune.rewind, Steps):
        check_moment(prune.rewind, source, "prune", "rewind")


def check_moment(moment: Steps, source: Side, *at: str | int) -> None:
    """Raises UnfitError, about the field `at`, if `moment` is after the end of training on `source`."""
    iteration = source.moment(moment)
    if iteration > source.iterations:
        raise UnfitError(
            f"{moment} (iteration {iteration:,}) is after the end of training on {source.name} "
            f"({source.iterations:,} iterations).",
            *at,
        )
    if source.trains_remainder and iteration == source.iterations:
        raise UnfitError(f"{moment} is the end of training on {source.name}: nothing is left as remainder.", *at)


def check_early_stop(source: Side, *at: str | int) -> None:
    """Raises UnfitError, about the field `at`, if a training on `source` has not several validation losses."""
    if isinstance(source.configuration.model, Perceptron):
        raise UnfitError(
            f"the networks of {source.name!r} are trained as one, and each has its smallest validation loss at another "
            "iteration: use start: final.",
            *at,
        )
    if not source.configuration.data.validation:
        raise UnfitError(
            f"source {source.name!r} has no validation loss to stop at: hold training images out (its dataset: "
            "{validation: 5000}), or use start: final.",
            *at,
        )
    if source.configuration.schedule.record_every >= source.iterations:
        raise UnfitError(
            f"source {source.name!r} has one validation loss, that of its end after "
            f"{count_of(source.iterations, 'iteration')}: record more often "
            "(its training: {record_every: ...}), or use start: final.",
            *at,
        )
