"""A spec's sources and targets against the catalogue and each other: what is impossible is refused with its place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from pipeline.experiment.absent_data import Lacking
from pipeline.experiment.evaluations import check_transfer
from pipeline.experiment.rewind_points import check_rewind
from pipeline.experiment.sides import Side, side
from pipeline.experiment.spec import Spec
from pipeline.experiment.spec_sides import Baseline, Source, Target
from pipeline.experiment.survivors import Rounds, planned_rounds
from pipeline.experiment.user_files import AbsentDataError
from pipeline.recipes.errors import UnfitError

P = ParamSpec("P")
T = TypeVar("T")
Entry = TypeVar("Entry", bound=Target)


def checked(
    spec: Spec, at: tuple[str | int, ...], call: Callable[P, T], /, *arguments: P.args, **options: P.kwargs
) -> T:
    """The result of the call, an UnfitError raised as a UserError with file and line."""
    try:
        return call(*arguments, **options)
    except UnfitError as error:
        raise spec.error((*at, *error.at), error.what) from None


@dataclass(frozen=True, slots=True)
class Resolving:
    """How the entries of a spec become sides."""

    spec: Spec
    root: Path
    lacking: Lacking | None
    """Where it is noted what is not there, for whom. None: it is refused."""

    def sources(self, seed: int) -> list[tuple[Source, Side]]:
        """The sources with their sides as one seed has them."""
        return self._sides("sources", self.spec.sources, seed, self.spec.retention.chains == "weights")

    def targets(self, seed: int) -> list[tuple[Target, Side]]:
        """The targets as one seed has them."""
        return self._sides("targets", self.spec.targets, seed, self.spec.retention.evaluations == "weights")

    def baselines(self, seed: int) -> list[tuple[Baseline, Side]]:
        """The baselines as one seed has them."""
        return self._sides("baselines", self.spec.baselines, seed, self.spec.retention.evaluations == "weights")

    def _sides(self, kind: str, entries: Sequence[Entry], seed: int, keeps_weights: bool) -> list[tuple[Entry, Side]]:
        found = []
        for index, entry in enumerate(entries):
            try:
                found.append((entry, _side(self.spec, entry, (kind, index), self.root, seed, keeps_weights)))
            except AbsentDataError as error:
                refusal = self.spec.error((kind, index, *error.at), error.what)
                if self.lacking is None:
                    raise refusal from None
                self.lacking.setdefault(error.what, {})[f"{kind.removesuffix('s')} {entry.name}"] = str(refusal)
        return found


def _side(spec: Spec, entry: Target, at: tuple[str, int], root: Path, seed: int, keeps_weights: bool) -> Side:
    try:
        own = entry.model_copy(update={"dataset": entry.dataset.of_seed(seed)})
        return side(own, at, root, keeps_weights)
    except AbsentDataError:
        raise
    except UnfitError as error:
        # what names no field of the side is about its model
        raise spec.error((*at, *(error.at or ("model",))), error.what) from None
    except OSError as error:
        raise spec.error((*at, "dataset"), f"cannot be read: {error.strerror or error} ({error.filename}).") from error


def fitting_targets(spec: Spec, source: Side, entry: Source, rounds: Rounds, targets: list[Side]) -> list[Side]:
    """The targets of the same model that tickets of `source` are evaluated on, each checked to fit.

    `targets` are all of the spec but those whose data is not there.
    """
    fitting = [target for target in targets if target.features == source.features]
    if not fitting and len(targets) == len(spec.targets):
        raise spec.error((*source.at, "model"), f"no target has the model of {source.name!r}: its tickets fit none.")
    paired = [target for target in fitting if spec.pairs is None or spec.pairs.includes(source.name, target.name)]
    for index, (one, other) in enumerate((spec.pairs.only or ()) if spec.pairs else ()):
        if one == source.name and other in {target.name for target in targets if target not in fitting}:
            what = f"{one} and {other} have different models, and a ticket fits one."
            raise spec.error(("pairs", "only", index), what)
    for target in paired:
        checked(spec, (), check_transfer, spec, entry.prune, rounds, source, target)
    return paired


def rounds_of(spec: Spec, source: Side, entry: Source) -> Rounds:
    """The pruning schedule of a source, its rewinding checked."""
    checked(spec, source.at, check_rewind, entry.prune, source)
    return checked(spec, (*source.at, "prune"), planned_rounds, entry.prune, source.model)
