"""The fields of recipes: what of them is in a key, and recipes read from fields again."""

import dataclasses
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from operator import attrgetter
from typing import Annotated, Any, Self, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.recipes.errors import UnfitError, unknown_name
from pipeline.recipes.options import Always, Called, Inline, Items, OneOf, Range, ReadBy

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Fields: TypeAlias = dict[str, Json]


class Keyed:
    """Of frozen dataclasses whose annotations say what each option may be; `name`, where there is one, is a field."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Raises UnfitError for an option that is not what its annotation says, and for such as do not go together."""
        for check, name, key in _CHECKED.get(type(self)) or _checked(type(self)):
            check(getattr(self, name), key)
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
        values, places, constants = _WRITING.get(type(self)) or _writing(type(self))
        found = dict(constants)
        for value, (key, left_out) in zip(values(self), places, strict=False):
            if key is None:
                found |= value.fields()
            elif value != left_out:
                found[key] = value if type(value) in _SCALARS else _plain(value)
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
    check: "Check"


Check = Callable[[object, str], None]
"""Of a value and what it is called. Raises UnfitError."""


def _unchecked(value: object, at: str) -> None:
    """Of what has no bounds."""


_SCALARS = frozenset({str, int, float, bool, types.NoneType})
_OPTIONS: dict[type, tuple[Option, ...]] = {}
Writing = tuple[Callable[[object], tuple[Any, ...]], list[tuple[str | None, object]], Fields]
"""What gives the values of a recipe; for each the key, None where its own fields stand there, and what is left out;
and what is among the fields always."""
_WRITING: dict[type, Writing] = {}
_CHECKED: dict[type, tuple[tuple[Check, str, str], ...]] = {}
"""By class, of each option that has bounds: what checks it, its name, and its name among the fields."""


def options_of(kind: type[Keyed]) -> tuple[Option, ...]:
    """In their order."""
    if kind not in _OPTIONS:
        _OPTIONS[kind] = tuple(_options(kind))
    return _OPTIONS[kind]


def _writing(kind: type[Keyed]) -> Writing:
    """How its fields are written: found out once, as a grid has ten thousands of them."""
    if kind not in _WRITING:
        options = options_of(kind)
        places = [(None if o.inline else o.key, ... if o.always else o.default) for o in options]
        # of one name alone it would give the value, not a tuple
        _WRITING[kind] = attrgetter(*(option.name for option in options), "__class__"), places, kind.constants()
    return _WRITING[kind]


def _checked(kind: type[Keyed]) -> tuple[tuple[Check, str, str], ...]:
    if kind not in _CHECKED:
        bounded = (option for option in options_of(kind) if option.check is not _unchecked)
        _CHECKED[kind] = tuple((option.check, option.name, option.key) for option in bounded)
    return _CHECKED[kind]


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
    if isinstance(value, tuple):
        return list(value) if _SCALARS.issuperset(map(type, value)) else [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
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


def _checking(kind: object) -> Check:
    """What checks the bounds in an annotation."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        checks: list[Check] = [mark.check for mark in inside[1:] if isinstance(mark, OneOf | Items)]
        whole = inside[0] is int
        checks += [partial(mark.check, whole=whole) for mark in inside[1:] if isinstance(mark, Range)]
        checks += [below] if (below := _checking(inside[0])) is not _unchecked else []
        return _all(checks) if checks else _unchecked
    if origin in (Union, types.UnionType):
        below = _checking(_of_optional(kind))
        return below if below is _unchecked else lambda value, at: None if value is None else below(value, at)
    if origin in (tuple, Mapping):
        below = _checking(inside[-1] if origin is Mapping else inside[0])
        return below if below is _unchecked else partial(_each, below)
    return _unchecked


def _all(checks: Sequence[Check]) -> Check:
    def check(value: object, at: str) -> None:
        for each in checks:
            each(value, at)

    return checks[0] if len(checks) == 1 else check


def _each(check: Check, value: object, at: str) -> None:
    """Checks the items of a list, or of a mapping, under their names."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            check(item, name)
    elif isinstance(value, tuple):
        for item in value:
            check(item, at)
