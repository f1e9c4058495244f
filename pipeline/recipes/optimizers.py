"""How weights follow their gradients; weight decay is L2 in the gradient for both."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from pipeline.recipes.errors import UnfitError, made


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent."""

    name: ClassVar[str] = "sgd"

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        _check(self)

    def options(self) -> dict[str, Any]:
        """The learning rate and what differs from the default, as torch's optimizer takes it."""
        return _told(self)

    def fields(self) -> dict[str, Any]:
        return {"name": self.name, **_told(self)}


@dataclass(frozen=True)
class Adam:
    """Kingma & Ba 2014."""

    name: ClassVar[str] = "adam"

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check(self)

    def options(self) -> dict[str, Any]:
        """As `Sgd.options`."""
        return _told(self)

    def fields(self) -> dict[str, Any]:
        told = _told(self)
        return {"name": self.name, **told, **({"betas": list(self.betas)} if "betas" in told else {})}


Optimizer = Sgd | Adam
OPTIMIZERS: dict[str, type[Sgd] | type[Adam]] = {"sgd": Sgd, "adam": Adam}


def optimizer_from(fields: Mapping[str, Any]) -> Optimizer:
    """{"name": "sgd", "lr": 0.1, ...}. Raises UnfitError."""
    options = dict(fields)
    name = options.pop("name", None)
    if name not in OPTIMIZERS:
        raise UnfitError(f"Unknown optimizer {name!r}: use one of {', '.join(OPTIMIZERS)}.")
    return made(OPTIMIZERS[name], options, f"The optimizer {name}")


def _told(optimizer: Optimizer) -> dict[str, Any]:
    usual = type(optimizer).__dataclass_fields__
    return {name: value for name, value in asdict(optimizer).items() if name == "lr" or value != usual[name].default}


def _check(optimizer: Optimizer) -> None:
    if not optimizer.lr >= 0:
        raise UnfitError(f"The learning rate is {optimizer.lr!r}: it must not be below 0.")
    if optimizer.weight_decay < 0:
        raise UnfitError(f"The weight decay is {optimizer.weight_decay!r}: it must not be below 0.")
