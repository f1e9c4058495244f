"""Which keys an author may write at a place of the spec, for suggestions."""

from typing import Any, get_args

from pipeline.experiment.spec_base import Strict


def written_keys(root: type[Strict], at: tuple[str | int, ...]) -> set[str]:
    """Keys of the mapping at `at`, a pydantic location: list indices and names of a union's members are steps in it."""
    models = [root]
    for part in at:
        below = [
            model for above in models if part in above.model_fields for model in _models(above.model_fields[str(part)])
        ]
        named = [
            model for model in models if "name" in model.model_fields and part == model.model_fields["name"].default
        ]
        models = below or named or models
    return {key for model in models for key in model.written_keys()}


def _models(field: Any) -> list[type[Strict]]:
    """The parts of the spec that a field's annotation speaks of."""
    annotation = getattr(field, "annotation", field)
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
