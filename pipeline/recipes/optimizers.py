"""How weights follow their gradients: those of torch.optim that have a fused step, by the names of their classes.

A grid's usual options are those of Morcos et al. 2019.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pipeline.recipes.errors import UnfitError
from pipeline.recipes.fields import Fields, Keyed, by_name
from pipeline.recipes.options import Range, Usual


@dataclass(frozen=True)
class Optimizer(Keyed):
    name: ClassVar[str]

    lr: Annotated[float, Range(above=0)]

    def options(self) -> Fields:
        """The learning rate and what differs from the default, as torch's optimizer takes it."""
        return {key: value for key, value in self.fields().items() if key != "name"}


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent; weight decay is L2 in the gradient."""

    name: ClassVar[str] = "sgd"

    lr: Annotated[float, Range(above=0), Usual(0.1)]
    momentum: Annotated[float, Range(0, below=1), Usual(0.9)] = 0.0
    weight_decay: Annotated[float, Range(0), Usual(1e-4)] = 0.0
    nesterov: bool = False

    def check(self) -> None:
        if self.nesterov and not self.momentum:
            raise UnfitError("needs a momentum above 0.", "nesterov")


@dataclass(frozen=True)
class Adam(Optimizer):
    """Kingma & Ba 2014; weight decay is L2 in the gradient."""

    name: ClassVar[str] = "adam"

    lr: Annotated[float, Range(above=0), Usual(3e-4)]
    betas: tuple[Annotated[float, Range(0, below=1)], Annotated[float, Range(0, below=1)]] = (0.9, 0.999)
    weight_decay: Annotated[float, Range(0), Usual(1e-4)] = 0.0


OPTIMIZERS: dict[str, type[Optimizer]] = {kind.name: kind for kind in (SGD, Adam)}


def optimizer_from(fields: object) -> Optimizer:
    """{"name": "sgd", "lr": 0.1, ...}. Raises UnfitError."""
    return by_name(OPTIMIZERS, "optimizer", fields)
