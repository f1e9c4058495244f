"""How results are read: the fields of `analysis`. None of them changes what is trained."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipeline.experiment.spec_base import Length, Number, Strict
from pipeline.experiment.steps import Steps


class Settles(Strict):
    """Converged at the first record from which test accuracy stays within `tolerance` of the last record's."""

    name: Literal["settles"] = "settles"
    tolerance: Annotated[Number, Field(gt=0, lt=1)] = 0.01


class MovingAverage(Strict):
    """Converged when the moving average over `window` has changed by less than `tolerance` for `patience`.

    Frankle & Carbin 2018, section 2: 1,000 iterations, 0.002, 1,000 iterations.
    """

    name: Literal["moving-average"] = "moving-average"
    window: Length = Steps(extra=1000)
    tolerance: Annotated[Number, Field(gt=0, lt=1)] = 0.002
    patience: Length = Steps(extra=1000)


def _named(raw: object) -> object:
    return {"name": raw} if isinstance(raw, str) else raw


Convergence = Annotated[Settles | MovingAverage, Field(discriminator="name"), BeforeValidator(_named)]


class Analysis(Strict):
    """What the report computes from results."""

    fraction_pruned: Annotated[Number, Field(ge=0, lt=1)] | None = None
    """Where matrices are read: the evaluated round nearest to it. None: the most pruned one that all sources have."""
    margin: Annotated[Number, Field(gt=0, lt=1)] = 0.01
    """Accuracy difference, in [0, 1], below which two tickets count as equivalent (two one-sided tests)."""
    convergence: Convergence = Settles()
