"""The mask that a pruning makes: of single weights or of whole units, by a criterion."""

from collections.abc import Mapping

from torch import Tensor

from pipeline.lottery import plugins
from pipeline.lottery.pruning import CRITERIA, Criterion, prune
from pipeline.lottery.units import UNIT_CRITERIA, prune_units
from pipeline.recipes.criteria import BuiltInCriterion, UserCriterion
from pipeline.recipes.pruning import Prune
from pipeline.recipes.rules import ByUnits


def next_mask(
    recipe: Prune, trained: Mapping[str, Tensor], mask: Mapping[str, Tensor] | None, file: str | None = None
) -> dict[str, Tensor]:
    """`trained`: the weights of the recipe's layers; `mask`: that they were trained with; `file`: the user's criterion.

    Raises ValueError as `prune` and `prune_units`, and plugins.PluginError about the file.
    """
    rule, criterion = recipe.rule, recipe.criterion
    if isinstance(rule, ByUnits):
        assert isinstance(criterion, BuiltInCriterion)  # as every pruning of units
        return prune_units(trained, mask, rule.units, UNIT_CRITERIA[criterion.name])
    return prune(trained, mask, rule, _of_weights(criterion, file))


def _of_weights(criterion: BuiltInCriterion | UserCriterion, file: str | None) -> Criterion:
    if isinstance(criterion, BuiltInCriterion):
        return CRITERIA[criterion.name]
    loaded: Criterion = plugins.load(file, criterion.function, criterion.source)
    return loaded
