"""Both recipes: what a stage does, whatever kind it is of."""

from collections.abc import Mapping
from typing import Any

from pipeline.recipes.errors import UnfitError
from pipeline.recipes.keys import RECIPE
from pipeline.recipes.pruning import Prune
from pipeline.recipes.training import Train

Recipe = Train | Prune


def recipe_from(fields: Mapping[str, Any]) -> Recipe:
    """Of a stage's fields, as a store's record has them. Raises UnfitError."""
    kinds: dict[str, type[Train] | type[Prune]] = {"train": Train, "prune": Prune}
    kind = fields.get("kind")
    if kind not in kinds:
        raise UnfitError(f"A stage trains or prunes; this one is of the kind {kind!r}.")
    if fields.get("recipe") != RECIPE:
        raise UnfitError(f"The stage is of recipe {fields.get('recipe')}, and this is recipe {RECIPE}.")
    return kinds[kind].from_fields(fields)
