"""Models behind torch.compile, (Distributed)DataParallel or activation checkpointing: names without them."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel


def _inside(module: nn.Module) -> str | None:
    """What a wrapper calls the module that it wraps; None for a module that is no wrapper."""
    if isinstance(module, DataParallel | DistributedDataParallel):
        return "module"
    # torch.compile and torch's checkpoint wrapper
    return next((name for name in ("_orig_mod", "_checkpoint_wrapped_module") if name in module._modules), None)


def unwrapped(module: nn.Module) -> nn.Module:
    """The module that runs inside of `module`, or itself."""
    while (inside := _inside(module)) is not None:
        module = module.get_submodule(inside)
    return module


def plain_names(model: nn.Module) -> Callable[[str], str]:
    """What a module or tensor of `model` is called without the wrappers that it is in, at whatever depth they are."""
    wrappers = {path: _inside(module) for path, module in model.named_modules(remove_duplicate=False)}

    def plain(name: str) -> str:
        path, kept = "", []
        for part in name.split("."):
            if wrappers.get(path) != part:
                kept.append(part)
            path = f"{path}.{part}" if path else part
        return ".".join(kept)

    return plain


def parameter_at(model: nn.Module, name: str) -> tuple[nn.Module, Tensor]:
    """The module that holds the parameter of a plain `name`, and what it holds now. Raises LookupError."""
    *path, leaf = name.split(".")
    module = unwrapped(model)
    for part in path:
        below = module._modules.get(part)
        if below is None:
            raise LookupError(name)
        module = unwrapped(below)
    parameter = module._parameters.get(leaf)
    if parameter is None:
        raise LookupError(name)
    return module, parameter
