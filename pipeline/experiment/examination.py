"""What a forward pass on the planned images says of a user's model: its output layer, and what it returns."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.experiment.output_graph import UncertainError, reached, scoring_layer
from pipeline.lottery.batch_norm import has_batch_norm
from pipeline.lottery.layers import PRUNABLE, is_below, name_output_layer, output_layer, prunable, unmasked
from pipeline.lottery.models.initialization import check_initialization
from pipeline.lottery.models.registry import build
from pipeline.lottery.objective import objective_of
from pipeline.recipes.users_model import UserModel

Shapes = list[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Examination:
    """What planning has to know of a user's model."""

    layers: Shapes
    """As `registry.describe`."""
    unmasked: Shapes
    """As `layers.unmasked`."""
    output_layer: str | None
    """Its name, where the model itself and its last Linear say something else."""
    prunes_output: bool
    """Whether a mask can cover the output layer's weight: not where it is computed, or a module of the user's own."""
    unreached: list[str]
    """Parameters that no gradient of the class scores leads to, in either mode."""
    batch_norm: bool
    """As `has_batch_norm`."""
    remarks: list[str]
    """What a plan and a report should say of it, as the end of a sentence about the model."""


def examine(recipe: UserModel, input: Sequence[int], classes: int, file: str | Path | None) -> Examination:
    """Build the model and run it once in each mode: on the meta device, without memory or arithmetic, or on the CPU
    where its code looks at values.

    Raises as `build`, and ValueError for a model that returns no class scores, whose output layer is not certain and
    not named, or that nothing initializes.
    """
    try:
        with torch.device("meta"):
            return _examined(recipe, input, classes, file, runs=True)
    except Exception:  # whatever the user's code raises there; what is wrong anywhere is said by the second one
        return _examined(recipe, input, classes, file, runs=False)


def _examined(
    recipe: UserModel, input: Sequence[int], classes: int, file: str | Path | None, *, runs: bool
) -> Examination:
    """`runs`: whether a model that cannot be run is refused though its output layer is named."""
    model = build(replace(recipe, output_layer=None), input, classes, file)
    called = type(model).__name__
    remarks: list[str] = []
    found: str | UncertainError
    without: list[str] = []
    with torch.random.fork_rng(devices=[]), _uncompiled():
        torch.default_generator.manual_seed(0)
        try:
            found, without = _run(model, input, classes, remarks)
        except _NotRunError as error:
            if runs or (recipe.output_layer is None and _own_name(model) is None):
                raise ValueError(
                    f"it cannot be run: {error}. (If it runs on a GPU alone, name its output layer: "
                    "model: {..., output_layer: NAME}.)"
                ) from error
            found = UncertainError(str(error))
            remarks.append(f"cannot be run here, so that what it returns is not checked: {error}")
    named = next((name for name in (recipe.output_layer, _own_name(model)) if name is not None), found)
    if isinstance(named, UncertainError):
        raise ValueError(
            f"which layer gives the class scores is not certain: {found}. {_what_to_do(model, named, classes)}"
        )
    owners = (found,) if isinstance(found, str) else found.owners
    if owners and named not in owners:
        scores_of = ", ".join(map(repr, owners))
        remarks.append(f"has {named!r} named its output layer, and its class scores come from {scores_of}")
    differs = named != _by_default(model)
    name_output_layer(model, named)
    check_initialization(model)
    weight = getattr(model.get_submodule(named), "weight", None)
    if not isinstance(weight, Tensor):
        below = _with_weight(model, named)
        hint = f"name the module that has the weight, such as {below!r}" if below else _ONE_LAYER
        raise ValueError(f"The output layer {named!r} of {called} has no weight: {hint}.")
    if weight.shape[0] != classes and not objective_of(model).many:
        remarks.append(
            f"has {named!r} named its output layer, whose weight is {list(weight.shape)}, for {classes} classes"
        )
    full_name = f"{named}.weight" if named else "weight"
    return Examination(
        layers=[*_shapes(prunable(model)), (full_name, tuple(weight.shape))],
        unmasked=_shapes(unmasked(model)),
        output_layer=named if differs else None,
        prunes_output=full_name in prunable(model, output=True),
        unreached=without,
        batch_norm=has_batch_norm(model),
        remarks=remarks,
    )


def _uncompiled() -> AbstractContextManager[object]:
    """Compiled parts of a model run as they are written: compiling takes long, and hides the graph."""
    # torch imports its compiler, which takes seconds, with the first part that is to be compiled
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


_ONE_LAYER = "such a model needs one Linear or convolution as its last layer"


def _what_to_do(model: nn.Module, found: UncertainError, classes: int) -> str:
    """Where the class scores come from several layers, one that gives a part of each of them may be named."""
    weights = [getattr(model.get_submodule(owner), "weight", None) for owner in found.owners]
    sizes = [weight.shape[0] for weight in weights if isinstance(weight, Tensor)]
    if (weights and not sizes) or (len(weights) > 1 and classes not in sizes):
        return f"It cannot be named: {_ONE_LAYER}."
    or_one = f" Or change it: {_ONE_LAYER}." if len(weights) > 1 else ""
    return f"Name it: model: {{..., output_layer: NAME}}, or the attribute `output_layer` of the class.{or_one}"


def _with_weight(model: nn.Module, name: str) -> str | None:
    """The last linear layer or convolution in the module of that name."""
    layers = [
        below for below, module in model.named_modules() if is_below(below, name) and isinstance(module, PRUNABLE)
    ]
    return layers[-1] if layers else None


class _NotRunError(Exception):
    """The user's code raised something."""


def _run(
    model: nn.Module, input: Sequence[int], classes: int, remarks: list[str]
) -> tuple[str | UncertainError, list[str]]:
    """The layer that gives the class scores, or why it is not certain; and the parameters that no gradient of them
    leads to. ValueError if there are no class scores.
    """
    images = torch.rand(3 if classes == 2 else 2, *input, requires_grad=True)  # another number than that of classes
    for parameter in model.parameters():
        parameter.requires_grad_(True)  # what is frozen would be missing from the graph
    outputs = _outputs(model.eval(), images)
    if isinstance(outputs, tuple | list):
        raise ValueError(
            f"it returns {_kind(outputs)} in evaluation, and should return the class scores alone, "
            f"[images, {classes}]. More outputs are for training: there the first is trained on."
        )
    found = _layer(model, images, outputs, classes, "in evaluation")
    trained = _outputs(model.train(), images)
    if isinstance(trained, tuple | list) and trained:
        remarks.append(f"returns {len(trained)} outputs in training, and is trained on the first")
        trained = trained[0]
    in_training = _layer(model, images, trained, classes, "in training")
    if isinstance(found, str) and isinstance(in_training, str) and found != in_training:
        raise ValueError(
            f"in training its (first) output comes from {in_training!r}, in evaluation from {found!r}: the class "
            "scores should come first."
        )
    if isinstance(found, UncertainError) and not found.owners:
        found = in_training  # in evaluation without gradients (torch.no_grad), for example
    return found, _unreached(model, (outputs, trained))


def _unreached(model: nn.Module, scores: Sequence[Tensor]) -> list[str]:
    """Parameters that no gradient of the `scores` leads to; none where the graph does not show it."""
    try:
        trained = reached(scores)
    except UncertainError:
        return []
    return [name for name, parameter in model.named_parameters() if id(parameter) not in trained]


def _outputs(model: nn.Module, images: Tensor) -> Any:
    with torch.enable_grad():
        try:
            return model(images.clone())  # which it may change in place, as it may a batch
        except (Exception, SystemExit) as error:
            lines = str(error).strip().splitlines()
            said = f": {lines[0].rstrip('.')}" if lines else ""
            raise _NotRunError(f"{type(error).__name__}{said}") from error


def _layer(model: nn.Module, images: Tensor, scores: Any, classes: int, when: str) -> str | UncertainError:
    many = objective_of(model).many
    _check_scores(scores, len(images), classes, when, many=many)
    try:
        return output_layer(model) if many else scoring_layer(model, images, scores, classes)
    except UncertainError as error:
        return error


def _check_scores(scores: Any, batch: int, classes: int, when: str, *, many: bool) -> None:
    """Raises ValueError, one sentence, unless `scores` is [batch, classes], or [networks, batch, classes] of `many`."""
    wanted = f"should return the class scores, [images, {classes}]"
    if not isinstance(scores, Tensor):
        raise ValueError(f"it returns {_kind(scores)} {when}, and {wanted}.")
    shape = tuple(scores.shape)
    if not scores.is_floating_point():
        raise ValueError(f"it returns numbers of type {scores.dtype} {when}, and {wanted}, before any argmax.")
    if shape[many:] == (batch, classes):
        return
    shown = f"[{', '.join(str(size) if place or size != batch else 'images' for place, size in enumerate(shape))}]"
    if shape[:2] == (batch, classes):
        flat = all(size == 1 for size in shape[2:])
        how = "flatten them (outputs.flatten(1))" if flat else "average them over the last dimensions"
        raise ValueError(f"it returns {shown} {when}, and {wanted}: {how}.")
    if len(shape) == 2 and shape[0] == batch:
        raise ValueError(f"it returns {shape[1]} numbers an image {when}, and there are {classes} classes.")
    raise ValueError(f"it returns {shown} {when}, and {wanted}.")


def _kind(outputs: Any) -> str:
    if isinstance(outputs, tuple | list):
        return f"a {type(outputs).__name__} of {len(outputs)}"
    if isinstance(outputs, Mapping):
        return f"a {type(outputs).__name__} of {', '.join(map(repr, outputs)) or 'nothing'}"
    return "nothing" if outputs is None else f"a {type(outputs).__name__}"


def _own_name(model: nn.Module) -> str | None:
    own = getattr(model, "output_layer", None)
    return own if isinstance(own, str) else None


def _by_default(model: nn.Module) -> str | None:
    """What `output_layer` says of a model that was not told."""
    try:
        return output_layer(model)
    except ValueError:
        return None


def _shapes(parameters: Mapping[str, Tensor]) -> Shapes:
    return [(name, tuple(parameter.shape)) for name, parameter in parameters.items()]
