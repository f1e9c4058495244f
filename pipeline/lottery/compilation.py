"""torch.compile as a stage's option: the same graphs, whatever the process compiled before."""

from typing import Any

import torch
from torch import nn


def compiled(model: nn.Module) -> nn.Module:
    """`model` behind torch.compile: it keeps its parameters, its mode and the names of its state.

    The same stage gives the same bits: there is one graph a shape (on several workers one for each bucket of
    gradients), no kernel is chosen by timing it, and earlier runs
    of the process are forgotten, or it would depend on them whether a shape is still compiled. (What they compiled
    comes from inductor's cache on disk.)
    """
    from torch._inductor import config  # half a second

    torch.compiler.reset()
    options: dict[str, Any] = {"deterministic": True} if hasattr(config, "deterministic") else {}  # torch 2.9 has not
    module = torch.compile(model, dynamic=False, options=options)
    assert isinstance(module, nn.Module)
    return module
