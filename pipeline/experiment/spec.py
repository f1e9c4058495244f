"""The spec: a whole grid, typed and checked. `loading.load` makes it from YAML."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from pipeline.experiment.errors import UserError
from pipeline.experiment.models import Model
from pipeline.experiment.spec_analysis import FEWEST, Analysis
from pipeline.experiment.spec_base import Flag, Int, Positive, Strict, refuse
from pipeline.experiment.spec_sides import Baseline, Source, Target
from pipeline.experiment.spec_tickets import Head, TicketKind, named_ticket
from pipeline.experiment.suggestions import did_you_mean
from pipeline.lottery.counting import count_of

ANY = "any"
DENSE = "dense"


class Pairs(Strict):
    """Which (source, target) pairs are evaluated; names may be patterns such as `mnist*`."""

    exclude: tuple[tuple[str, str], ...] | None = None
    only: tuple[tuple[str, str], ...] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.exclude is None) == (self.only is None):
            raise refuse("give either exclude: [[source, target], ...] or only: [[source, target], ...].")
        return self

    @property
    def listed(self) -> tuple[tuple[str, str], ...]:
        return self.only if self.only is not None else self.exclude or ()

    def includes(self, source: str, target: str) -> bool:
        found = any(fnmatchcase(source, s) and fnmatchcase(target, t) for s, t in self.listed)
        return found is (self.only is not None)


class Retention(Strict):
    """What is kept beside the metrics: tickets or all trained weights of chains, nothing or weights of evaluations."""

    chains: Literal["tickets", "weights"] = "tickets"
    initialization: Flag = False
    """Keep what tickets start from where they rewind to 0: the seed gives it, but only the model's code can draw it."""
    evaluations: Literal["metrics", "weights"] = "metrics"


def _seeds(raw: Any) -> Any:
    if isinstance(raw, int) and not isinstance(raw, bool):
        if not 1 <= raw <= 100_000:
            raise refuse(f"{raw} seeds: give how many (1 to 100,000), or a list such as [0, 1, 2].")
        return tuple(range(raw))
    return raw


def _targets(raw: Any) -> Any:
    if isinstance(raw, str):
        raise refuse(f"should be same, or a list of targets, not {raw!r}.")
    return raw


class Spec(Strict):
    """One experiment. Sources and targets are complete: the common settings are laid under them already."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    description: str = ""
    seeds: Annotated[tuple[Annotated[Int, Field(ge=0, lt=2**31)], ...], Field(min_length=1), BeforeValidator(_seeds)]
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    targets: Annotated[tuple[Target, ...], Field(min_length=1), BeforeValidator(_targets)]
    pairs: Annotated[Pairs | None, BeforeValidator(lambda raw: None if raw == "all" else raw)] = None
    tickets: tuple[Annotated[TicketKind, BeforeValidator(named_ticket)], ...] = (
        TicketKind(name="winning"),
        TicketKind(name="random", mask="permuted-globally", weights="redrawn"),
    )
    head: Head = "auto"
    """auto: redrawn where the data set differs, kept where only the optimizer or the schedule differs."""
    diagonal: Literal["share", "retrain"] = "share"
    """share: a winning ticket on its own source is the chain's next round. retrain: its head is redrawn there too."""
    dense: Flag | Literal["repeated"] = True
    """Whether the dense network is trained from scratch on every target; `repeated`: anew for each kind of ticket and
    round that it stands beside, as Van Soelen & Sheppard 2019 did for each row of their tables."""
    baselines: tuple[Baseline, ...] = ()
    """Other models' dense networks to show beside a target's tickets."""
    retention: Retention = Retention()
    analysis: Analysis = Analysis()
    max_stages: Positive = 200_000
    """A grid that plans more stages is refused before it is expanded; part of no key."""

    _place: Callable[[tuple[str | int, ...], str], UserError] | None = PrivateAttr(default=None)

    @classmethod
    def written_keys(cls) -> list[str]:
        return [*cls.model_fields, "model", "training", "prune", "resources", "extends"]

    @field_validator("seeds")
    @classmethod
    def _different_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        seen: set[int] = set()
        for index, seed in enumerate(seeds):
            if seed in seen:
                raise refuse(f"the seed {seed} is given twice.", index)
            seen.add(seed)
        return seeds

    @field_validator("sources", "targets", "tickets")
    @classmethod
    def _different_names(cls, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        seen: set[str] = set()
        for index, entry in enumerate(entries):
            if entry.name in seen:
                raise refuse(
                    f"the name {entry.name!r} is given twice: add a name of its own (name: ...).", index, "name"
                )
            if entry.name in (ANY, DENSE):
                raise refuse(f"{entry.name!r} has a meaning of its own in results; choose another name.", index, "name")
            seen.add(entry.name)
        return entries

    @model_validator(mode="after")
    def _pairs_exist(self) -> Self:
        if self.pairs is None:
            return self
        for option in ("only", "exclude"):
            for index, pair in enumerate(getattr(self.pairs, option) or ()):
                for place, (pattern, side, entries) in enumerate(
                    zip(pair, ("source", "target"), (self.sources, self.targets), strict=True)
                ):
                    _check_pattern(pattern, side, [entry.name for entry in entries], ("pairs", option, index, place))
        return self

    @model_validator(mode="after")
    def _baselines_stand_apart(self) -> Self:
        targets = [target.name for target in self.targets]
        names = {DENSE, ANY, *(ticket.name for ticket in self.tickets)}
        seen: set[tuple[str, str]] = set()
        for index, baseline in enumerate(self.baselines):
            if baseline.target not in targets:
                what = f"there is no target {baseline.target!r}.{did_you_mean(baseline.target, targets)}"
                raise refuse(what, "baselines", index, "target")
            if baseline.name in names or (baseline.name, baseline.target) in seen:
                what = f"the name {baseline.name!r} is that of a ticket or of another baseline: choose another."
                raise refuse(what, "baselines", index, "name")
            seen.add((baseline.name, baseline.target))
        return self

    @model_validator(mode="after")
    def _reference_exists(self) -> Self:
        self.analysis.check_reference(self.tickets, self.sources)
        return self

    @property
    def differs_by_seed(self) -> bool:
        """Whether seeds select images of their own (`split: {seed: each}`)."""
        return any(side.dataset.is_of_each_seed for side in self.sides)

    @property
    def sides(self) -> tuple[Target, ...]:
        """Everything that is trained: sources, targets and baselines."""
        return (*self.sources, *self.targets, *self.baselines)

    @property
    def models(self) -> list[Model]:
        """The different models of sources and targets, in order; a ticket is evaluated where its own model is."""
        found: list[Model] = []
        for side in (*self.sources, *self.targets):
            if side.model not in found:
                found.append(side.model)
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """What a plan says of the spec itself. Networks that are trained by the thousand are tested one by one."""
        if len(self.seeds) >= FEWEST or all(model.name == "perceptron" for model in self.models):
            return ()
        return (
            f"{count_of(len(self.seeds), 'seed is', 'seeds are')} too few for a test: the report will have means, and "
            f"neither intervals of differences nor p. Tests need {FEWEST} seeds, and show small differences with more.",
        )

    @property
    def winning(self) -> list[str]:
        """Names of the kinds of ticket that are winning ones; the others are controls."""
        return [ticket.name for ticket in self.tickets if ticket.is_winning]

    def redraws_head(self, ticket: TicketKind, *, same_training: bool, same_data: bool) -> bool:
        """Whether the output layer is drawn anew on a target that trains as the source does, or on the same data.

        `same_training` implies `same_data`.
        """
        if same_training:
            return ticket.head == "redraw" or (self.diagonal == "retrain" and ticket.head != "keep")
        setting = ticket.head or self.head
        return not same_data if setting == "auto" else setting == "redraw"

    def located(self, place: Callable[[tuple[str | int, ...], str], UserError]) -> "Spec":
        """The spec, its later errors with the file and line that `place` knows."""
        self._place = place
        return self

    def error(self, at: tuple[str | int, ...], what: str) -> UserError:
        """A UserError about the field at `at`."""
        return self._place(at, what) if self._place else UserError(f"{'.'.join(map(str, at))}: {what}")


def _check_pattern(pattern: str, side: str, names: Iterable[str], at: tuple[str | int, ...]) -> None:
    if not any(fnmatchcase(name, pattern) for name in names):
        raise refuse(f"there is no {side} {pattern!r}.{did_you_mean(pattern, names)}", *at)
