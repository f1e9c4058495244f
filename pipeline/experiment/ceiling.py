"""How many stages a grid may plan (`max_stages`): a slip of the pen must not fill memories or clusters."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from pipeline.experiment.errors import UserError
from pipeline.experiment.spec import Spec
from pipeline.experiment.spec_sides import Source, Target
from pipeline.experiment.variants import MAX_PAIRS
from pipeline.recipes.keys import canonical

RESULTS = 10
"""Results that a stage may stand for: controls that sources share are a row for each of them."""


def check_ceiling(spec: Spec) -> None:
    """Raises UserError if `spec` plans too much, from its sizes alone: nothing is expanded and no data are read."""
    looked_at = len(spec.sources) * len(spec.targets) * max(1, len(spec.pairs.listed) if spec.pairs else 1)
    if looked_at > MAX_PAIRS:
        what = f"{looked_at:,} pairs of a source and a target, each looked up in every line of `pairs`: use patterns."
        raise spec.error(("pairs",), what)
    if (stages := stages_at_least(spec)) > spec.max_stages:
        raise too_many(spec, stages)
    if (results := _results(spec)) > RESULTS * spec.max_stages:
        raise _refused(spec, f"at least {results:,} results, more than {RESULTS} x max_stages ({spec.max_stages:,})")


def too_many(spec: Spec, stages: int) -> UserError:
    """The error of a grid that plans at least so many stages, at the field that multiplies them most."""
    return _refused(spec, f"at least {stages:,} stages, more than max_stages ({spec.max_stages:,})")


def stages_at_least(spec: Spec) -> int:
    """A lower bound of the different stages, from the spec alone: the masks, and the tickets of pruned rounds.

    Sources and targets that differ in name, place or resources only count once.
    """
    targets: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for target in spec.targets:
        targets[_features(target)][_content(target)].append(target.name)
    chains: dict[str, dict[str, _Chain]] = defaultdict(dict)
    for source in spec.sources:
        prune = source.prune.model_dump(mode="json", exclude={"rounds", "evaluate", "method"})
        chains[_content(source)].setdefault(canonical(prune), _Chain(source)).add(source)
    bound, free = _draws(spec, counts_only=False), _draws(spec, counts_only=True)
    most: dict[str, int] = defaultdict(int)
    stages = 0
    for variants in chains.values():
        for number, chain in enumerate(variants.values()):
            shared = min(number, 1)  # ways of pruning one network may have their first round in common
            rounds = len(chain.rounds - {0}) - shared
            there = targets[_features(chain.source)].values()
            stages += chain.last - shared + bound * rounds * sum(_any_pair(spec, chain.source, each) for each in there)
            for content, names in targets[_features(chain.source)].items():
                if _any_pair(spec, chain.source, names):
                    most[content] = max(most[content], rounds)
    return len(spec.seeds) * (stages + free * sum(most.values()))


@dataclass(slots=True)
class _Chain:
    """Sources that search alike, but for how far."""

    source: Source
    last: int = 0
    rounds: set[int] = field(default_factory=set)

    def add(self, source: Source) -> None:
        self.last = max(self.last, source.prune.last_round)
        self.rounds.update(source.prune.evaluated)


def _results(spec: Spec) -> int:
    """Rows of the results, but for dense networks."""
    fitting: dict[str, list[str]] = defaultdict(list)
    for target in spec.targets:
        fitting[_features(target)].append(target.name)
    draws, rows = sum(ticket.draws for ticket in spec.tickets), 0
    for source in spec.sources:
        names = fitting[_features(source)]
        pairs = len(names) if spec.pairs is None else sum(spec.pairs.includes(source.name, name) for name in names)
        rows += pairs * len(source.prune.evaluated) * draws
    return rows * len(spec.seeds)


def _draws(spec: Spec, *, counts_only: bool) -> int:
    """Of tickets that differ in more than what they are called and start from."""
    kinds = {
        (ticket.mask, ticket.weights): ticket.draws for ticket in spec.tickets if ticket.counts_only == counts_only
    }
    return sum(kinds.values())


def _any_pair(spec: Spec, source: Source, targets: list[str]) -> bool:
    return spec.pairs is None or any(spec.pairs.includes(source.name, target) for target in targets)


def _content(side: Target) -> str:
    return canonical(side.model_dump(mode="json", include={"model", "dataset", "training"}))


def _features(side: Target) -> str:
    """The model but for its head: what a ticket has to fit."""
    return canonical(side.model.model_dump(mode="json", exclude={"head"}))


def _refused(spec: Spec, how_many: str) -> UserError:
    source = max(spec.sources, key=lambda each: len(each.prune.evaluated))
    place = ("sources", spec.sources.index(source), "prune")
    how = "rounds" if source.prune.fractions is None else "fractions"
    rounds = "evaluate" if source.prune.evaluate is not None else how
    factors: list[tuple[int, str, tuple[Any, ...]]] = [
        (len(spec.seeds), "seeds", ("seeds",)),
        (len(spec.sources), "sources", ("sources",)),
        (len(spec.targets), "targets", ("targets",)),
        (max(1, len(source.prune.evaluated)), "rounds", (*place, rounds)),
        (sum(ticket.draws for ticket in spec.tickets), "tickets", ("tickets",)),
    ]
    largest = max(factors, key=lambda factor: factor[0])
    product = " x ".join(f"{name} ({count:,})" for count, name, _ in factors)
    return spec.error(
        largest[2], f"this grid plans {how_many}: {product}. Lower one of them, or raise max_stages if it is meant."
    )
