"""Parts of the spec that are made from recipes: a recipe says once what its options are, and within which bounds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import BeforeValidator, Field, create_model, model_validator

from pipeline.experiment.spec_base import Flag, Int, Number, Strict, named, refuse
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.fields import Keyed, Option, options_of
from pipeline.recipes.options import Items, OneOf, Range, Usual


class OfRecipe(Strict):
    """What is written of a recipe; by default its options are at what is usual in a grid."""

    made: ClassVar[type[Keyed]]
    """What it is made into."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            self.recipe()
        except UnfitError as error:
            raise refuse(error.what, *error.at) from None
        return self

    def recipe(self) -> Keyed:
        return self.made(**self._options())

    def _options(self) -> dict[str, Any]:
        """By name, as the recipe's class takes them."""
        values = {option.name: getattr(self, option.name) for option in options_of(self.made)}
        return {name: value.recipe() if isinstance(value, OfRecipe) else value for name, value in values.items()}


Part = TypeVar("Part", bound=OfRecipe)


def written_as(kinds: Mapping[str, type[Keyed]], base: type[Part], first: Sequence[str] = ()) -> dict[str, type[Part]]:
    """Of each of some recipes with a name, what a grid may write of it; `first`: options that stand before the name."""
    return {name: part_of(kind, base, first) for name, kind in kinds.items()}


def part_of(kind: type[Keyed], base: type[Part], first: Sequence[str] = ()) -> type[Part]:
    """What a grid may write of a recipe: its name, and its options that `base` has not."""
    own = {o.name: _field(o) for o in options_of(kind) if o.name not in base.model_fields}
    fields: dict[str, Any] = {name: own.pop(name) for name in first if name in own}
    fields |= {key: (Literal[value], value) for key, value in kind.constants().items()}
    fields |= own
    made = create_model(kind.__name__, __base__=base, __doc__=kind.__doc__, **fields)
    made.made = kind
    return made


def one_of(
    parts: Mapping[str, type[Strict]], *more: type[Strict], written: Callable[[object], object] = named
) -> object:
    """The type of one of them, which its name tells; `written` puts into that form what may be written in another."""
    return Annotated[Union[(*parts.values(), *more)], Field(discriminator="name"), BeforeValidator(written)]


def _field(option: Option) -> tuple[object, object]:
    """Annotation and default."""
    marks = get_args(option.annotation)[1:] if get_origin(option.annotation) is Annotated else ()
    usual = next((mark.value for mark in marks if isinstance(mark, Usual)), option.default)
    return _annotation(option.annotation), usual


def _annotation(kind: Any) -> Any:
    """What pydantic checks as the recipe's annotation says."""
    strict = {int: Int, bool: Flag, float: Number}
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        words = next((mark.words for mark in inside[1:] if isinstance(mark, OneOf)), None)
        bounds = [_bound(mark) for mark in inside[1:] if isinstance(mark, Range | Items)]
        return Annotated[_annotation(inside[0]) if words is None else Literal[words], *bounds]
    if origin is tuple:
        items = tuple(each if each is Ellipsis else _annotation(each) for each in inside)
        return tuple.__class_getitem__(items)
    return strict.get(kind, kind)


def _bound(mark: Range | Items) -> Any:
    if isinstance(mark, Items):
        return Field(min_length=mark.least or None, max_length=mark.most)
    return Field(ge=mark.least, le=mark.most, gt=mark.above, lt=mark.below)
