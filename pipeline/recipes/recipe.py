"""Both recipes: what a stage does, whatever kind it is of."""

from collections.abc import Mapping

from pipeline.recipes.errors import UnfitError
from pipeline.recipes.keys import RECIPE
from pipeline.recipes.pruning import Prune
from pipeline.recipes.training import Train

Recipe = Train | Prune


def recipe_from(fields: object) -> Recipe:
    """Of a stage's fields, as a store's record has them. Raises UnfitError."""
    kinds: dict[object, type[Train] | type[Prune]] = {"train": Train, "prune": Prune}
    given = fields if isinstance(fields, Mapping) else {}
    if given.get("kind") not in kinds:
        raise UnfitError(f"A stage trains or prunes; this one is of the kind {given.get('kind')!r}.")
    if given.get("recipe") != RECIPE:
        raise UnfitError(f"The stage is of recipe {given.get('recipe')}, and this is recipe {RECIPE}.")
    return kinds[given["kind"]].from_fields(fields)
