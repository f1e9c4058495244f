"""How results are read: the fields of `analysis`. None of them changes what is trained."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.experiment.spec_base import Int, Length, Number, Positive, Strict, refuse
from pipeline.experiment.steps import Steps


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


def _named(raw: object) -> object:
    return {"name": raw} if isinstance(raw, str) else raw


Convergence = Annotated[Settles | MovingAverage | EarlyStop, Field(discriminator="name"), BeforeValidator(_named)]


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


class Published(Strict):
    """Numbers of a paper that the report puts beside the results."""

    of: str
    """Where they are, for example "Frankle & Carbin 2018, Figure 2"."""
    values: Annotated[tuple[PublishedValue, ...], Field(min_length=1)]


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
    paper: Literal["morcos2019", "frankle2018", "none"] = "morcos2019"
    """Whose settings the report puts beside those in force."""
    published: Published | None = None
