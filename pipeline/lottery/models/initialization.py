"""Initialization from named streams, one a module, so that compared networks share every weight they have in common."""

from collections.abc import Callable
from typing import cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.lottery.layers import PRUNABLE
from pipeline.lottery.randomness import generator, stream
from pipeline.recipes.keys import canonical
from pipeline.recipes.model_base import BuiltIn, Initialization, TruncatedNormal
from pipeline.recipes.models import Model


def model_id(recipe: Model) -> str:
    """Canonical JSON of the model's features: its name in random streams, whatever its initialization, its head, or
    what is called its output layer."""
    return canonical(recipe.features())


def initialize(model: nn.Module, seed: int, recipe: Model, what: str = "init", *more: str | int) -> None:
    """Initialize every parameter in place from the streams (what, seed, model_id, *more, module name), on the CPU.

    The stream `init` is the ordinary initialization: it depends on neither round nor data, and as every module has its
    own, a head of another size changes nothing else. Controls name another stream and get a fresh draw from the same
    distribution. Ours: weights as the recipe's `initialization` says, by default Xavier normal, zero biases,
    batch norm 1 and 0 with fresh statistics (Morcos et al. 2019); the streams are the same for all initializations. A
    user's: `model.initialize(generator)` if defined, else `reset_parameters()` of each module that has
    parameters or statistics of its own. The global random number generator is left as it was.
    Raises ValueError for a parameter that is not on the CPU or that nothing initializes.
    """
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        raise ValueError("Initialize the model on the CPU, then move it: random numbers differ between devices.")
    names = (what, seed, model_id(recipe), *more)
    if isinstance(recipe, BuiltIn):
        draw = _distribution(recipe.initialization)
        for name, module in model.named_modules():
            _initialized(name, module, draw, generator(*names, name))
    elif callable(getattr(model, "initialize", None)):
        own = cast(Callable[[torch.Generator], None], model.initialize)
        # Seeded too: an initialization of the user's may well ignore the generator.
        _with_global_seed(stream(*names, ""), lambda: own(generator(*names, "")))
    else:
        for name, module in model.named_modules():
            _reset(name, module, stream(*names, name))


def check_initialization(model: nn.Module) -> None:
    """Raises ValueError, as `initialize` would, for parameters of a user's model that nothing initializes."""
    if not callable(getattr(model, "initialize", None)):
        for name, module in model.named_modules():
            if _own_tensors(module):
                _reset_of(name, module)


Distribution = Callable[[torch.Tensor, torch.Generator], object]
"""Fills the weight of a layer in place."""


def _distribution(initialization: Initialization) -> Distribution:
    if not isinstance(initialization, TruncatedNormal):
        return lambda weight, draw: nn.init.xavier_normal_(weight, generator=draw)
    std = initialization.std
    return lambda weight, draw: nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=draw)


@torch.no_grad()
def _initialized(name: str, module: nn.Module, distribution: Distribution, draw: torch.Generator) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d):
        distribution(module.weight, draw)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, _BatchNorm):
        module.reset_parameters()
    elif _own_tensors(module):
        raise ValueError(f"No initialization is defined for {name!r} ({type(module).__name__}).")


def _reset(name: str, module: nn.Module, seed: int) -> None:
    """Modules come parents first, so a child's own stream decides where a parent resets its children too."""
    if not _own_tensors(module):
        return
    reset = _reset_of(name, module)
    if reset is not None:
        _with_global_seed(seed, reset)


def _reset_of(name: str, module: nn.Module) -> Callable[[], object] | None:
    """What initializes a module's own tensors; None if they are statistics that stay as the constructor made them."""
    define = "define initialize(generator) on the model, so that each seed has its own initialization."
    reset: Callable[[], object] | None = getattr(module, "reset_parameters", None)
    own = dict(module.named_parameters(recurse=False))
    if callable(reset):
        parts = own.keys() - {"weight", "bias"}
        if isinstance(module, PRUNABLE) and type(module).__module__.startswith("torch.") and parts:
            raise ValueError(
                f"The weight of {name!r} is computed from {', '.join(sorted(parts))}, which its reset_parameters() "
                f"does not draw: {define}"
            )
        return reset
    if own:
        raise ValueError(
            f"The module {name!r} ({type(module).__name__}) has parameters of its own but no reset_parameters(). "
            f"Define it, or {define}"
        )
    return None


def _own_tensors(module: nn.Module) -> bool:
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return bool(own)


def _with_global_seed(seed: int, run: Callable[[], object]) -> None:
    """Run with the CPU's global generator seeded, then put it back; torch.manual_seed would seed devices too."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        run()
