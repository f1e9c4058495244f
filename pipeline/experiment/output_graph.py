"""The layer that class scores come from, read off the graph that autograd recorded of a forward pass."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

Node = Any
"""A node of autograd's graph."""

_MIXING = ("Mm", "Addmm", "Bmm", "Baddbmm", "Addbmm", "Mv", "Addmv", "Dot", "Linear", "Convolution", "Embedding")
"""Operations that make each output of many inputs, as a layer does; all others leave class scores where they are."""


class UncertainError(ValueError):
    """The graph does not show one layer whose outputs are the class scores: why.

    `owners`: the modules whose parameters it shows in place of that layer's.
    """

    def __init__(self, why: str, owners: Iterable[str] = ()) -> None:
        super().__init__(why)
        self.owners = tuple(owners)


def scoring_layer(model: nn.Module, images: Tensor, scores: Tensor, classes: int) -> str:
    """Name of the module whose outputs are the `scores` that `model` made of `images`, which require their gradient.

    After it may come whatever has no weights of two or more dimensions: biases, activations, normalization, pooling,
    reshaping. Raises UncertainError if the scores come from several layers or none, from a weight that is not
    the `weight` of a module, with `classes` rows, or from one that other layers share.
    """
    nodes = [scores.grad_fn] if scores.grad_fn is not None else []
    of_images = _depending(nodes, images)
    if not of_images:
        raise UncertainError("no gradient leads from its outputs to the images")
    names: dict[int, list[str]] = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)].append(name)
    layers: dict[Node, list[list[str]]] = {}
    seen: set[Node] = set()
    while nodes:
        node = nodes.pop()
        if node in seen:
            continue
        seen.add(node)
        before = _before(node)
        weights = [names[id(leaf)] for leaf in _leaves(other for other in before if other not in of_images)]
        weights = [tied for tied in weights if tied and model.get_parameter(tied[0]).ndim > 1]
        if weights:
            layers[node] = weights
        elif not before or _mixes(node):
            raise UncertainError("its last layer is none of its modules")
        else:
            nodes += [other for other in before if other in of_images]
    return _only(model, layers.values(), classes)


def reached(outputs: Iterable[Tensor]) -> set[int]:
    """`id` of each leaf tensor that a gradient of these outputs leads to.

    Raises UncertainError if one goes through a function of the user's own: what it does backwards is not recorded, as
    of torch's reentrant checkpoints, which run a part of the model again.
    """
    nodes = [scores.grad_fn for scores in outputs if scores.grad_fn is not None]
    if any(hasattr(node, "_forward_cls") for node in _walk(nodes)):
        raise UncertainError("a gradient goes through a function of its own")
    return {id(leaf) for leaf in _leaves(nodes)}


def _only(model: nn.Module, layers: Iterable[list[list[str]]], classes: int) -> str:
    found = [tied for weights in layers for tied in weights]
    owners = dict.fromkeys(_owner(name) for tied in found for name in tied)
    if any(len({_owner(name) for name in tied}) > 1 for tied in found):
        raise UncertainError(f"its last layer shares its weights: {', '.join(map(_shown, owners))}", owners)
    if len(owners) > 1:
        raise UncertainError(f"its outputs come from several layers: {', '.join(map(_shown, owners))}", owners)
    (owner,) = owners
    weight = getattr(model.get_submodule(owner), "weight", None)
    if not isinstance(weight, Tensor):
        raise UncertainError(f"its outputs come from {', '.join(name for tied in found for name in tied)}", owners)
    if weight.shape[0] != classes:
        why = f"its last layer, {_shown(owner)}, has {weight.shape[0]} outputs for {classes} classes"
        raise UncertainError(why, owners)
    return owner


def _owner(parameter: str) -> str:
    """The module that a parameter is of, or that it is a parametrization's of."""
    module, parametrized, _ = parameter.partition(".parametrizations.")
    return module if parametrized else parameter.rpartition(".")[0]


def _shown(module: str) -> str:
    return module or "the model itself"


def _mixes(node: Node) -> bool:
    """Also a function of the user's own, of which nothing is known."""
    name: str = node.name()
    return hasattr(node, "_forward_cls") or any(name.startswith(f"{operation}Backward") for operation in _MIXING)


def _before(node: Node) -> list[Node]:
    return [other for other, _ in node.next_functions if other is not None]


def _walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """These and all before them."""
    left, seen = list(nodes), set()
    while left:
        node = left.pop()
        if node not in seen:
            seen.add(node)
            left += _before(node)
            yield node


def _leaves(nodes: Iterable[Node]) -> list[Tensor]:
    return [node.variable for node in _walk(nodes) if hasattr(node, "variable")]


def _depending(nodes: Iterable[Node], images: Tensor) -> set[Node]:
    """All nodes, of these and those before them, whose values depend on `images`."""
    after: dict[Node, list[Node]] = defaultdict(list)
    starts = []
    for node in _walk(nodes):
        if getattr(node, "variable", None) is images:
            starts.append(node)
        for other in _before(node):
            after[other].append(node)
    found: set[Node] = set()
    while starts:
        node = starts.pop()
        if node not in found:
            found.add(node)
            starts += after[node]
    return found
