"""How results are read: the fields of `analysis`. None of them changes what is trained."""

from collections.abc import Mapping, Sequence, Set
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from pipeline.experiment.spec_base import Int, Length, Number, Positive, Strict, named, refuse
from pipeline.experiment.spec_sides import Source
from pipeline.experiment.spec_tickets import TicketKind
from pipeline.experiment.suggestions import did_you_mean
from pipeline.recipes.steps import Steps


class Settles(Strict):
    """Converged at the first record from which test accuracy stays within `tolerance` of the last record's."""

    name: Literal["settles"] = "settles"
    tolerance: Annotated[Number, Field(gt=0, lt=1)] = 0.01


class MovingAverage(Strict):
    """Converged when the moving average over `window` has changed by less than `tolerance` for `patience`.

    Frankle & Carbin 2018, footnote 5: 1,000 iterations, 0.002, 1,000 iterations.
    """

    name: Literal["moving-average"] = "moving-average"
    window: Length = Steps(extra=1000)
    tolerance: Annotated[Number, Field(gt=0, lt=1)] = 0.002
    patience: Length = Steps(extra=1000)


class EarlyStop(Strict):
    """Converged at the record of the smallest validation loss; needs `dataset: {validation: n}`.

    Frankle & Carbin 2019, section 2: the iteration at which early stopping would occur.
    """

    name: Literal["early-stop"] = "early-stop"


FEWEST = 3
"""Seeds that a test needs: with two, the interval spans 25 standard deviations."""

Fraction = Annotated[Number, Field(ge=0, le=1)]


Convergence = Annotated[Settles | MovingAverage | EarlyStop, Field(discriminator="name"), BeforeValidator(named)]


class PublishedValue(Strict):
    """One number of a paper: `metric` of the results with these names; what is not given is not looked at."""

    metric: Literal["test_accuracy", "decision_boundary", "zero_loss", "convergence", "accuracy_at_convergence"]
    value: Number
    """As the results have it: accuracies and shares in [0, 1], convergence in iterations."""
    versus: str | None = None
    """A ticket (or `dense`) that the number is relative to, on the same target and at the same round: accuracies minus
    its own, convergence divided by its own. Not of shares of networks."""
    source: str | None = None
    target: str | None = None
    ticket: str | None = None
    round: Annotated[Int, Field(ge=0)] | None = None
    n: Positive | None = None
    """Networks that a share is of; None where the paper does not say, and then a difference has no interval."""

    @model_validator(mode="after")
    def _shares_stand_alone(self) -> Self:
        if self.versus is not None and self.metric in ("decision_boundary", "zero_loss"):
            raise refuse("a share of networks is relative to no other ticket.", "versus")
        return self


class PublishedTest(Strict):
    """A row of a paper's table of paired t-tests against the dense network; a source or target not given is any."""

    ticket: str
    round: Annotated[Int, Field(gt=0)]
    source: str | None = None
    target: str | None = None
    mean: Fraction
    """Of the ticket's test accuracy, as the results have it: in [0, 1]."""
    std: Annotated[Number, Field(ge=0)]
    dense_mean: Fraction
    dense_std: Annotated[Number, Field(ge=0)]
    t: Number
    """As the paper prints it, with or without its sign."""
    p: Fraction
    n: Positive
    """Pairs that the test is over."""


class PublishedNumbers(Strict):
    """Numbers of a paper that the report puts beside the results."""

    of: str
    """Where they are, for example "Frankle & Carbin 2018, Figure 2"."""
    values: tuple[PublishedValue, ...] = ()
    tests: tuple[PublishedTest, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if not self.values and not self.tests:
            raise refuse("has no numbers of the paper: give values: [...] or tests: [...].")
        for index, test in enumerate(self.tests):
            if any(_overlap(test, other) for other in self.tests[:index]):
                raise refuse(f"a test of {test.ticket}, round {test.round}, is given twice.", "tests", index)
        return self


def _overlap(one: PublishedTest, other: PublishedTest) -> bool:
    """Whether two tests can be of the same row."""
    sides = [(one.source, other.source), (one.target, other.target)]
    same = (one.ticket, one.round) == (other.ticket, other.round)
    return same and all(a is None or b is None or a == b for a, b in sides)


Settings = Mapping[str, JsonValue]
"""By field of the grid, as it would be written there; `{either: [a, b]}` are alternatives."""


class Paper(Strict):
    """What a paper states, and what it leaves open."""

    title: str
    settings: Settings = Field(default_factory=dict)
    models: Mapping[str, Settings] = Field(default_factory=dict)
    """Further ones of a grid that has this model alone."""
    otherwise: Settings = Field(default_factory=dict)
    """Further ones of any other grid."""
    open: Mapping[str, str] = Field(default_factory=dict)
    """By field why its default is what it is, where the paper says nothing or says it elsewhere than in a number."""

    def settings_of(self, models: Set[str]) -> Settings:
        """Those of a grid of these models."""
        alone = next(iter(models)) if len(models) == 1 else ""
        return {**self.settings, **self.models.get(alone, self.otherwise)}


def _remembered(raw: object) -> object:
    """Stores of earlier versions remember a paper's name, without its content."""
    return (None if raw == "none" else {"title": raw}) if isinstance(raw, str) else raw


class Analysis(Strict):
    """What the report computes from results."""

    fraction_pruned: Annotated[Number, Field(ge=0, lt=1)] | None = None
    """Where matrices are read: the evaluated round nearest to it. None: the most pruned one that all sources have."""
    margin: Annotated[Number, Field(gt=0, lt=1)] = 0.01
    """Accuracy difference, in [0, 1], below which two tickets count as equivalent (two one-sided tests)."""
    convergence: Convergence = Settles()
    spread: Literal["std", "range"] = "std"
    """What bands and bars of curves are: one standard deviation to both sides, or from the least to the greatest."""
    levels: tuple[Annotated[Number, Field(gt=0, le=1)], ...] | None = None
    """Weights remaining, in [0, 1], at which distributions and learning curves are drawn: the evaluated round nearest
    to each. None: up to four, spread over those that are there."""
    zero_loss: Annotated[Number, Field(gt=0)] = 0.01
    """Of models that train many networks at once: the test loss, in nats, below which a network counts as perfect."""
    tie: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Of such models: a test image lies on the decision boundary, on neither side of it, if the probability of its
    label minus that of another class is no further from 0 than this."""
    paper: Annotated[Paper | None, BeforeValidator(_remembered)] = None
    """Whose settings the report puts beside those in force: a grid names its YAML file."""
    published: PublishedNumbers | None = None
    reference: str | None = None
    """The kind of ticket whose round 0 is the dense network that winning tickets are held against, on the same source
    and target (Mehta 2019, Conjecture 2.1). None: the dense network trained from scratch on the target."""

    def check_reference(self, tickets: Sequence[TicketKind], sources: Sequence[Source]) -> None:
        """Raises what pydantic tells as an error, at the key relative to the spec, for a reference that is not there.

        Its round 0 must be evaluated from every source.
        """
        if self.reference is None:
            return
        at = ("analysis", "reference")
        names = [ticket.name for ticket in tickets]
        if self.reference not in names:
            dense = " Without it, it is the dense network trained from scratch." * (self.reference == "dense")
            raise refuse(f"there is no ticket {self.reference!r}.{did_you_mean(self.reference, names)}{dense}", *at)
        if tickets[names.index(self.reference)].weights == "shuffled":
            raise refuse(f"{self.reference!r} has no round 0: with nothing pruned there is nothing to shuffle.", *at)
        for source in sources:
            if 0 not in source.prune.evaluated:
                raise refuse(
                    f"round 0 of {self.reference!r} is the reference, and source {source.name!r} does not evaluate it: "
                    f"add 0 to its prune.evaluate.",
                    *at,
                )
