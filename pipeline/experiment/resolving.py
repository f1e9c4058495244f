"""A spec's sources and targets against the catalogue and each other: what is impossible is refused with its place."""

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from pipeline.experiment.evaluations import check_transfer
from pipeline.experiment.moments import check_rewind
from pipeline.experiment.sides import Side, side
from pipeline.experiment.spec import Spec
from pipeline.experiment.spec_sides import Source, Target
from pipeline.experiment.survivors import Schedule, schedule
from pipeline.experiment.user_files import UnfitError

P = ParamSpec("P")
T = TypeVar("T")


def checked(
    spec: Spec, at: tuple[str | int, ...], call: Callable[P, T], /, *arguments: P.args, **options: P.kwargs
) -> T:
    """The result of the call, an UnfitError told as a UserError with file and line."""
    try:
        return call(*arguments, **options)
    except UnfitError as error:
        raise spec.error((*at, *error.at), error.what) from None


def source_sides(spec: Spec, root: Path, seed: int) -> list[Side]:
    """The sources as one seed has them."""
    keeps = spec.retention.chains == "weights"
    return [_side(spec, entry, ("sources", index), root, seed, keeps) for index, entry in enumerate(spec.sources)]


def target_sides(spec: Spec, root: Path, seed: int) -> list[Side]:
    """The targets as one seed has them."""
    keeps = spec.retention.evaluations == "weights"
    return [_side(spec, entry, ("targets", index), root, seed, keeps) for index, entry in enumerate(spec.targets)]


def baseline_sides(spec: Spec, root: Path, seed: int) -> list[Side]:
    """The baselines as one seed has them."""
    keeps = spec.retention.evaluations == "weights"
    return [_side(spec, entry, ("baselines", index), root, seed, keeps) for index, entry in enumerate(spec.baselines)]


def _side(spec: Spec, entry: Target, at: tuple[str, int], root: Path, seed: int, keeps_weights: bool) -> Side:
    try:
        own = entry.model_copy(update={"dataset": entry.dataset.of_seed(seed)})
        return side(own, at, root, keeps_weights)
    except UnfitError as error:
        # what names no field of the side is about its model
        raise spec.error((*at, *(error.at or ("model",))), error.what) from None
    except OSError as error:
        raise spec.error((*at, "dataset"), f"cannot be read: {error.strerror or error} ({error.filename}).") from error


def reached(spec: Spec, source: Side, entry: Source, rounds: Schedule, targets: list[Side]) -> list[Side]:
    """The targets of the same model that tickets of `source` are evaluated on, each checked to fit."""
    fitting = [target for target in targets if target.features == source.features]
    if not fitting:
        raise spec.error((*source.at, "model"), f"no target has the model of {source.name!r}: its tickets fit none.")
    paired = [target for target in fitting if spec.pairs is None or spec.pairs.includes(source.name, target.name)]
    for index, (one, other) in enumerate((spec.pairs.only or ()) if spec.pairs else ()):
        if one == source.name and other in {target.name for target in targets if target not in fitting}:
            what = f"{one} and {other} have different models, and a ticket fits one."
            raise spec.error(("pairs", "only", index), what)
    for target in paired:
        checked(spec, (), check_transfer, spec, entry.prune, rounds, source, target)
    return paired


def rounds_of(spec: Spec, source: Side, entry: Source) -> Schedule:
    """The pruning schedule of a source, its rewinding checked."""
    checked(spec, source.at, check_rewind, entry.prune, source)
    return checked(spec, (*source.at, "prune"), schedule, entry.prune, source.model)
