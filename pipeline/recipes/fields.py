"""The fields of recipes: what of them is in a key, and recipes read from fields again."""

import dataclasses
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Annotated, Self, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.recipes.errors import UnfitError, unknown_name
from pipeline.recipes.options import Always, Called, Inline, Items, OneOf, Range, ReadBy

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Fields: TypeAlias = dict[str, Json]


class Keyed:
    """Of frozen dataclasses whose annotations say what each option may be; `name`, where there is one, is a field."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Raises UnfitError for an option that is not what its annotation says, and for such as do not go together."""
        for option in options_of(type(self)):
            if option.check is not None:
                option.check(getattr(self, option.name), option.key)
        self.check()

    def check(self) -> None:
        """Raises UnfitError for options that do not go together."""

    @classmethod
    def constants(cls) -> Fields:
        """What is among the fields of all of this class, and read from none: the name, where there is one."""
        name = getattr(cls, "name", None)
        return {"name": name} if isinstance(name, str) else {}

    def fields(self) -> Fields:
        """As they are in a key: what is not at its default."""
        found = self.constants()
        for option in options_of(type(self)):
            value = getattr(self, option.name)
            if option.inline:
                found |= value.fields()
            elif option.always or value != option.default:
                found[option.key] = _plain(value)
        return found

    @classmethod
    def from_fields(cls, fields: object) -> Self:
        """Raises UnfitError for what are no such fields."""
        what = f"The fields of {re.sub('(?<=[a-z])(?=[A-Z])', ' ', cls.__name__).lower()}"
        if not isinstance(fields, Mapping):
            raise UnfitError(f"{what} are no mapping but {type(fields).__name__}.")
        left, lacking = dict(fields), []
        given: dict[str, object] = {}
        for key in cls.constants():
            left.pop(key, None)
        for option in options_of(cls):
            if option.inline is not None:
                inside = {key: left.pop(key) for key in _keys(option.inline) if key in left}
                given[option.name] = option.inline.from_fields(inside)
            elif option.key in left:
                given[option.name] = _read(option.annotation, left.pop(option.key), option.key)
            elif option.default is ...:
                lacking.append(option.key)
        if left or lacking:
            wrong = f"there is no {', '.join(left)} in them" if left else f"they lack {', '.join(lacking)}"
            raise UnfitError(f"{what} cannot be {dict(fields)}: {wrong}.")
        return cls(**given)


AnyKeyed = TypeVar("AnyKeyed", bound=Keyed)


def by_name(kinds: Mapping[str, type[AnyKeyed]], what: str, fields: object, more: str = "") -> AnyKeyed:
    """The one of `kinds` that the fields name. Raises UnfitError; `more`: what else there is than these."""
    name = fields.get("name") if isinstance(fields, Mapping) else None
    if not isinstance(name, str) or name not in kinds:
        raise UnfitError(unknown_name(what, name, kinds, more))
    return kinds[name].from_fields(fields)


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """A field of a recipe's class."""

    name: str
    key: str
    """Its name among the fields."""
    annotation: object
    default: object
    """Ellipsis where it has none."""
    always: bool
    """Whether it is among the fields also at its default."""
    inline: type[Keyed] | None
    """Its class, where its own fields stand in its place."""
    check: "Check | None"


Check = Callable[[object, str], None]
"""Of a value and what it is called. Raises UnfitError."""


_OPTIONS: dict[type, tuple[Option, ...]] = {}


def options_of(kind: type[Keyed]) -> tuple[Option, ...]:
    """In their order."""
    if kind not in _OPTIONS:
        _OPTIONS[kind] = tuple(_options(kind))
    return _OPTIONS[kind]


def _options(kind: type[Keyed]) -> Iterator[Option]:
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # every class of recipes is a dataclass
        hint = hints[field.name]
        marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        called = next((mark.name for mark in marks if isinstance(mark, Called)), field.name)
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        default = ... if default is dataclasses.MISSING else default
        inline = get_args(hint)[0] if Inline in marks else None
        yield Option(field.name, called, hint, default, Always in marks, inline, _checking(hint))


def _keys(kind: type[Keyed]) -> Iterator[str]:
    for option in options_of(kind):
        yield from [option.key] if option.inline is None else _keys(option.inline)


def _plain(value: object) -> Json:
    """JSON of it."""
    if isinstance(value, Keyed):
        return value.fields()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value  # type: ignore[return-value]  # a string, a number, a truth value, None, or a user's own word


def _read(kind: object, value: object, at: str) -> object:
    """`value` of JSON as the annotation says. Raises UnfitError."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        reader = next((mark.reader for mark in inside[1:] if isinstance(mark, ReadBy)), None)
        return _read(inside[0], value, at) if reader is None else reader(value)
    if origin in (Union, types.UnionType):
        return None if value is None else _read(_of_optional(kind), value, at)
    if isinstance(kind, type) and issubclass(kind, Keyed):
        return kind.from_fields(value)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = repeat(inside[0], len(value)) if inside[-1] is Ellipsis else inside
        if Ellipsis in inside or len(value) == len(inside):
            return tuple(_read(each, item, at) for each, item in zip(kinds, value, strict=True))
    if origin is Mapping and isinstance(value, Mapping):
        return {name: _read(inside[1], item, name) for name, item in value.items()}
    if kind is object or type(value) is kind or (kind is float and type(value) is int):
        return value
    raise UnfitError(f"{at}: {value!r} is not what it should be, {getattr(kind, '__name__', kind)}.")


def _of_optional(kind: object) -> object:
    return next(each for each in get_args(kind) if each is not types.NoneType)


def _checking(kind: object) -> Check | None:
    """What checks the bounds in an annotation; None where there are none."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        checks = [mark.check for mark in inside[1:] if isinstance(mark, OneOf | Items)]
        ranges = [mark for mark in inside[1:] if isinstance(mark, Range)]
        below = _checking(inside[0])

        def annotated(value: object, at: str) -> None:
            for bounds in ranges:
                bounds.check(value, at, inside[0] is int)
            for check in checks:
                check(value, at)
            if below is not None:
                below(value, at)

        return annotated if ranges or checks else below
    if origin in (Union, types.UnionType) and types.NoneType in inside:
        given = _checking(_of_optional(kind))
        return None if given is None else lambda value, at: None if value is None else given(value, at)
    if origin in (tuple, Mapping):
        of_item = _checking(inside[-1] if origin is Mapping else inside[0])

        def each(value: object, at: str) -> None:
            assert of_item is not None
            if isinstance(value, Mapping):
                for name, item in value.items():
                    of_item(item, name)
            elif isinstance(value, tuple):
                for item in value:
                    of_item(item, at)

        return None if of_item is None else each
    return None
