"""Which keys an author may write at a place of the spec, for suggestions."""

from collections.abc import Sequence
from typing import Any, get_args

from pipeline.experiment.spec_base import Strict


def written_keys(root: type[Strict], at: tuple[str | int, ...]) -> set[str]:
    """Keys of the mapping at `at`, a pydantic location: list indices and names of a union's members are steps in it."""
    models = [root]
    for part in at:
        models = models_at(models, part) or models
    return {key for model in models for key in model.written_keys()}


def models_at(models: Sequence[type[Strict]], part: str | int) -> list[type[Strict]]:
    """The parts of the spec that one step below `models` speaks of: a field, or the name of a union's member."""
    fields = [model.model_fields[part] for model in models if isinstance(part, str) and part in model.model_fields]
    return [below for field in fields for below in _models(field)] or [
        model
        for model in models
        if "name" in model.model_fields and part in get_args(model.model_fields["name"].annotation)
    ]


def _models(field: Any) -> list[type[Strict]]:
    """The parts of the spec that a field's annotation speaks of."""
    annotation = getattr(field, "annotation", field)
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
