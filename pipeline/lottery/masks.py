"""The mask that a pruning makes: of single weights or of whole units, by a criterion."""

import inspect
from collections.abc import Mapping
from typing import cast

from torch import Tensor

from pipeline.lottery import plugins
from pipeline.lottery.hidden_units import UNIT_CRITERIA, prune_units
from pipeline.lottery.pruning import CRITERIA, Score, prune
from pipeline.recipes.criteria import SCORE, BuiltInCriterion, UserCriterion
from pipeline.recipes.pruning import Prune
from pipeline.recipes.rules import ByUnits


def next_mask(recipe: Prune, inputs: Mapping[str, Mapping[str, Tensor]], file: str | None = None) -> dict[str, Tensor]:
    """The mask of `recipe`'s layers, by layer: bool, on the CPU, True where a weight survives.

    `inputs`: of the recipe's roles ("trained", "mask", "initial") those that it reads; the weights are whole states.
    `file`: the user's criterion.

    Raises ValueError as `prune` and `prune_units`, and plugins.PluginError about the file.
    """
    rule, criterion, mask = recipe.rule, recipe.criterion, inputs.get("mask")
    trained, initial = (
        {name: inputs[role][name] for name in recipe.layers} if role in inputs else {}
        for role in ("trained", "initial")
    )
    if isinstance(rule, ByUnits):
        assert isinstance(criterion, BuiltInCriterion)  # as every pruning of units
        return prune_units(trained, mask, rule.units, UNIT_CRITERIA[criterion.name])
    return prune(trained, mask, rule, _score(criterion, file), initial)


def _score(criterion: BuiltInCriterion | UserCriterion, file: str | None) -> Score:
    if isinstance(criterion, BuiltInCriterion):
        return CRITERIA[criterion.name]
    score = cast(Score, plugins.load(file, criterion.function, criterion.source))
    try:
        inspect.signature(score).bind(*SCORE)
    except (TypeError, ValueError) as error:
        line = getattr(getattr(score, "__code__", None), "co_firstlineno", 1)
        raise plugins.PluginError(
            f"{file}:{line}: {criterion.function} should take ({', '.join(SCORE)}), three mappings by layer: {error}."
        ) from error
    return score
