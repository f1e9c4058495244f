"""How a recipe declares an option in its annotation: what it may be, and how it stands in the key and in a grid."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pipeline.recipes.errors import UnfitError


@dataclass(frozen=True)
class Range:
    """Numbers that an option may be; of an int, whole ones."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def check(self, value: object, at: str, whole: bool = False) -> None:
        """Raises UnfitError about the field `at`."""
        number = type(value) is int if whole else isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not self._holds(value):  # type: ignore[arg-type]  # a number, by now
            raise UnfitError(f"{at}: {value!r} must be a {'whole ' * whole}number{self._where}.")

    def _holds(self, value: float) -> bool:
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    @property
    def _where(self) -> str:
        if self.least is not None and self.most is not None:
            return f" between {self.least} and {self.most}"
        words = {"above": self.above, "below": self.below, "of at least": self.least, "of at most": self.most}
        return "".join(f" {word} {value:,}" for word, value in words.items() if value is not None)


@dataclass(frozen=True)
class OneOf:
    """Words that an option may be."""

    words: tuple[str, ...]

    def check(self, value: object, at: str) -> None:
        """Raises UnfitError about the field `at`."""
        if value not in self.words:
            raise UnfitError(f"{at}: {value!r} must be one of {', '.join(self.words)}.")


@dataclass(frozen=True)
class Items:
    """How many items a list may have."""

    least: int = 0
    most: int | None = None

    def check(self, value: object, at: str) -> None:
        """Raises UnfitError about the field `at`."""
        if not isinstance(value, tuple) or len(value) < self.least or len(value) > (self.most or len(value)):
            raise UnfitError(f"{at}: {value!r} must have {self.least} to {self.most or 'any number of'} items.")


@dataclass(frozen=True)
class Usual:
    """What a grid has where nothing is written, if that is not what the recipe leaves out of its fields."""

    value: object


@dataclass(frozen=True)
class Called:
    """The name among the fields of an option that Python cannot call so."""

    name: str


@dataclass(frozen=True)
class ReadBy:
    """What reads the option from its fields, where its class alone does not say it."""

    reader: Callable[[object], object]


class Always:
    """Marks an option that is among the fields also at its default."""


class Inline:
    """Marks a recipe whose fields stand among those of the one that it is in."""


Positive = Annotated[int, Range(above=0, most=10**9)]
Natural = Annotated[int, Range(0)]
Share = Annotated[float, Range(0, 1)]
