"""How tickets are found: the fields of `prune`."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, model_validator

from pipeline.experiment.spec_base import Flag, Int, Number, Positive, Strict, refuse
from pipeline.experiment.suggestions import did_you_mean
from pipeline.recipes.criteria import OF_UNITS, OF_WEIGHTS
from pipeline.recipes.steps import Steps


def _moment(*words: str) -> Any:
    """Steps or one of `words`."""

    def parse(raw: object) -> Any:
        if isinstance(raw, str) and raw in words:
            return raw
        try:
            return Steps.parse(raw)
        except ValueError as error:
            if isinstance(raw, str) and not raw[:1].isdigit():
                raise refuse(
                    f"should be steps such as 500it or 1ep, or one of {', '.join(words)}, not {raw!r}."
                    + did_you_mean(raw, words)
                ) from None
            raise refuse(f"{error}.") from None

    return parse


Rewind = Annotated[Steps | Literal["final", "none"], PlainValidator(_moment("final", "none")), PlainSerializer(str)]
Start = Annotated[
    Steps | Literal["final", "early-stop", "trained", "redrawn"],
    PlainValidator(_moment("final", "early-stop", "trained", "redrawn")),
    PlainSerializer(str),
]


Patterns = Annotated[
    tuple[str, ...], Field(min_length=1), BeforeValidator(lambda raw: (raw,) if isinstance(raw, str) else raw)
]


class Prune(Strict):
    """Iterative or one-shot pruning, by a rate a round or by cumulative fractions.

    `rewind`: what the next round trains from; steps of round 0, `final` of round 0, or `none` (trains on).
    `rates`: layer name or pattern -> rate, where a layer's differs from `rate` (layerwise only). `relative`: layer name
    or pattern -> what its rate or fraction is multiplied by: {head: 0.5} prunes the output layer by half as much.
    `units`: so many hidden units a round, whole, of a network with one hidden layer. `only`: names or patterns of the
    layers that are pruned and counted; all others keep all weights. `include`: names or patterns of parameters of a
    user's model that are pruned, too, though no weights of linear or convolutional layers: `attention.in_proj_weight`.
    """

    rate: Annotated[Number, Field(gt=0, lt=1)] | None = None
    rounds: Annotated[Positive, Field(le=10_000)] | None = None
    fractions: Annotated[tuple[Annotated[Number, Field(gt=0, lt=1)], ...], Field(min_length=1)] | None = None
    method: Literal["iterative", "one-shot"] = "iterative"
    scope: Literal["global", "layerwise"] = "global"
    rates: dict[str, Annotated[Number, Field(ge=0, lt=1)]] = Field(default_factory=dict)
    relative: dict[str, Annotated[Number, Field(ge=0, le=1)]] = Field(default_factory=dict)
    units: Positive | None = None
    only: Patterns | None = None
    include: Patterns | None = None
    prune_output: Flag = False
    criterion: str = "magnitude"
    rewind: Rewind = Steps()
    evaluate: tuple[Annotated[Int, Field(ge=0)], ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _whole_units(cls, raw: Any) -> Any:
        """A unit that goes takes its weights in the output layer along; the paper's best criterion is the default."""
        if not isinstance(raw, dict) or raw.get("units") is None:
            return raw
        if raw.get("prune_output") is False:
            raise refuse("a pruned unit has no weights in the output layer either.", "prune_output")
        return {"prune_output": True, "criterion": "magnitude-product", **raw}

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.units is not None:
            given = [key for key in ("rate", "fractions", "rates", "relative", "only", "include") if getattr(self, key)]
            if given or self.scope == "layerwise":
                raise refuse("cannot go with units: remove one of the two.", given[0] if given else "scope")
        if self.fractions is not None:
            given = [key for key in ("rate", "rounds", "rates") if getattr(self, key)]
            if given:
                raise refuse(f"cannot go with fractions: remove one of the two ({given[0]}: null).", given[0])
            if any(a >= b for a, b in zip(self.fractions, self.fractions[1:], strict=False)):
                raise refuse("should increase: they are cumulative fractions pruned, one a round.", "fractions")
        elif self.rounds is None:
            raise refuse("is missing (or give fractions: [...]).", "rounds")
        for key in ("rates", "relative"):
            if getattr(self, key) and self.scope == "global":
                raise refuse("rates by layer need scope: layerwise.", key)
        if self.rates and self.relative:
            raise refuse("cannot go with rates: remove one of the two.", "relative")
        self._check_criterion()
        self._check_evaluate()
        return self

    def _check_criterion(self) -> None:
        if self.units is None and (self.criterion in OF_WEIGHTS or ".py:" in self.criterion):
            return
        if self.units is not None and self.criterion in OF_UNITS:
            return
        known = OF_WEIGHTS if self.units is None else OF_UNITS
        what = "" if self.units is None else " of units"
        hint = " Your own is written file.py:function." if self.units is None else f" There are {', '.join(known)}."
        raise refuse(
            f"unknown criterion{what} {self.criterion!r}.{did_you_mean(self.criterion, list(known))}{hint}", "criterion"
        )

    def _check_evaluate(self) -> None:
        for index, number in enumerate(self.evaluate or ()):
            if number > self.last_round:
                raise refuse(
                    f"round {number} does not exist: there are rounds 0 to {self.last_round}.", "evaluate", index
                )
        if self.evaluate is not None and len(set(self.evaluate)) < len(self.evaluate):
            raise refuse("a round is given twice.", "evaluate")

    @property
    def last_round(self) -> int:
        return len(self.fractions) if self.fractions is not None else (self.rounds or 0)

    @property
    def evaluated(self) -> tuple[int, ...]:
        """Rounds whose tickets are evaluated; by default every round but the dense one."""
        return tuple(range(1, self.last_round + 1)) if self.evaluate is None else tuple(sorted(self.evaluate))

    @property
    def rate_a_round(self) -> float:
        """The share of the remaining weights that a round prunes; 0.2 is Morcos et al.'s."""
        return 0.2 if self.rate is None else self.rate

    def pruned_round(self, number: int) -> int:
        """The round whose trained weights make the mask of round `number`."""
        return 0 if self.method == "one-shot" else number - 1
