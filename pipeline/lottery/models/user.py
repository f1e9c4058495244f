"""A user's own model: a class in a file of theirs.

    class Net(torch.nn.Module):
        def __init__(self, input_shape, classes, width=64): ...     # input_shape = (C, H, W)

It is called as `Net(input_shape=(C, H, W), classes=n, **arguments)`, with the arguments of the grid. Its output layer
is the last Linear, or the module that its attribute `output_layer` names. It is initialized by each module's
`reset_parameters()`, or by its own method `initialize(generator)` (see initialization.py); what its constructor does to
parameters is overwritten.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.lottery import plugins


def user(fields: Mapping[str, Any], input_shape: tuple[int, int, int], classes: int, file: Path | None) -> nn.Module:
    """Raises plugins.PluginError about the file, ValueError if the class cannot be made into a module."""
    name = fields["class"]
    define = plugins.load(file, name, fields["source"])
    arguments = fields.get("arguments", {})
    if not callable(define):
        raise ValueError(f"{file}: {name!r} is not a class but {type(define).__name__}.")
    try:
        model = define(input_shape=input_shape, classes=classes, **arguments)
    except Exception as error:
        given = "".join(f", {key}={value!r}" for key, value in arguments.items())
        raise ValueError(
            f"{file}: {name}(input_shape={input_shape}, classes={classes}{given}) failed: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"{file}: {name}(...) is not a torch.nn.Module but {type(model).__name__}.")
    return model
