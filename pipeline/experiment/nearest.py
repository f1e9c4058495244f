"""Why a stage is not in a store: the stage there that is nearest to it, and the fields in which the two differ."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pipeline.experiment.grid import Work
from pipeline.recipes.keys import canonical

ABSENT = "nothing"
"""What a field is said to be that one of the two stages has not."""
_REFERENCE = ".stage"
"""Ends the path of a field that is the key of another stage."""
_CANDIDATES = 200
"""Stages of one kind, round and seed that are compared field by field where no single field makes the difference."""
_COMPARED = 300
"""Stages of a plan for which that is done; the differences found are tried on all others."""
_OF_REPETITION = ("seed", "round")
"""Fields that differ between repetitions of the same; others are looked at before them."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field, dots between its names; the values are JSON, or ABSENT."""

    field: str
    there: str
    """In the store."""
    now: str

    @property
    def is_reference(self) -> bool:
        """Whether the field is the key of another stage."""
        return self.field.endswith(_REFERENCE)

    def __str__(self) -> str:
        if self.is_reference:
            return f"{self.field}: {self.there[1:13]} in the store, {self.now[1:13]} now"
        return f"{self.field}: {self.there} in the store, {self.now} now"


@dataclass(frozen=True, slots=True)
class Nearest:
    """What a stage that is not there is compared with."""

    key: str | None
    """The nearest stage of the store; None where nothing is like it."""
    differences: tuple[Difference, ...] = ()
    """Of its own fields. None: only what it reads differs."""
    follows: str | None = None
    """A stage that it reads, which is not there either."""


def leaves(fields: Mapping[str, object], below: str = "") -> dict[str, str]:
    """Path of each field that is no mapping, dots between the names -> its value as canonical JSON."""
    found: dict[str, str] = {}
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            found |= leaves(value, f"{below}{name}.")
        else:
            found[f"{below}{name}"] = canonical(value) if isinstance(value, dict | list) else _scalar(value)
    return found


_scalar = lru_cache(maxsize=100_000, typed=True)(canonical)


def differences(there: Mapping[str, str], now: Mapping[str, str]) -> tuple[Difference, ...]:
    """Of two stages' `leaves`, in the order of the second one's, what only the first one has last."""
    paths = dict.fromkeys([*now, *there])
    pairs = ((path, there.get(path, ABSENT), now.get(path, ABSENT)) for path in paths)
    return tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])


def nearest(work: Work, missing: Iterable[str], records: Mapping[str, Mapping[str, object]]) -> dict[str, Nearest]:
    """For each of `missing`, stages of `work` in its order, the nearest of `records`: fields of stages by key.

    What a stage reads counts as equal where the nearest to what it reads is read there. Takes time in proportion to
    the stages: fields are summed up as hashes, so that one that differs is found without comparing.
    """
    store = _Store(records)
    found: dict[str, Nearest] = {}
    for key in missing:
        stage = work.stages[key]
        if stage.known_recipe is None:
            continue
        now = leaves(stage.recipe.fields())
        follows = None
        for path, value in now.items():
            parent = found.get(value.strip('"')) if path.endswith(_REFERENCE) else None
            if parent is not None:
                follows = follows or value.strip('"')
                now[path] = value if parent.key is None else canonical(parent.key)
        unlike = follows is not None and found[follows].key is None
        near = None if unlike else store.nearest(now)
        own = () if near is None else differences(leaves(records[near]), now)
        found[key] = Nearest(near, own, follows)
    return found


class _Store:
    """Finished stages, by the sums of the hashes of their fields."""

    def __init__(self, records: Mapping[str, Mapping[str, object]]) -> None:
        self._records = records
        self._by_sum: dict[int, str] = {}
        self._values: dict[str, dict[str, int]] = defaultdict(dict)
        """Path -> value -> hash, of all fields that are no references."""
        self._alike: dict[tuple[str | None, ...], list[str]] = defaultdict(list)
        self._known: list[tuple[Difference, ...]] = []
        self._compared = 0
        for key, fields in records.items():
            flat = leaves(fields)
            self._by_sum[_sum(flat)] = key
            for path, value in flat.items():
                if not path.endswith(_REFERENCE) and value not in self._values[path]:
                    self._values[path][value] = _hash(path, value)
            for place in _places(flat):
                self._alike[place].append(key)
        self._paths = sorted(self._values, key=lambda path: path in _OF_REPETITION)

    def nearest(self, now: Mapping[str, str]) -> str | None:
        """Key of the stage that differs from `now` in the fewest fields that could be found."""
        total = _sum(now)
        if total in self._by_sum:
            return self._by_sum[total]
        for several in self._known:
            if all(now.get(each.field, ABSENT) == each.now for each in several):
                moved = total + sum(_hash(each.field, each.there) - _hash(each.field, each.now) for each in several)
                if moved in self._by_sum:
                    return self._by_sum[moved]
        for path in self._paths:
            without = total - _hash(path, now.get(path, ABSENT))
            for hashed in (0, *self._values[path].values()):
                if without + hashed in self._by_sum:
                    return self._by_sum[without + hashed]
        return self._most_alike(now)

    def _most_alike(self, now: Mapping[str, str]) -> str | None:
        if self._compared == _COMPARED:
            return None
        self._compared += 1
        candidates = next((found for place in _places(now) if (found := self._alike.get(place))), [])
        apart = {key: differences(leaves(self._records[key]), now) for key in candidates[:_CANDIDATES]}
        key = min(apart, key=lambda each: len(apart[each]), default=None)
        if key is None or 2 * len(apart[key]) > len(now):
            return None
        self._known.append(apart[key])
        return key


def _places(flat: Mapping[str, str]) -> Iterator[tuple[str | None, ...]]:
    """Where stages are looked for that are alike, the closest first."""
    kind, number, seed = (flat.get(name) for name in ("kind", "round", "seed"))
    yield from ((kind, number, seed), (kind, number), (kind,))


def _hash(path: str, value: str) -> int:
    # Of one text: hashes of pairs are so regular that changes in two fields cancel out.
    return 0 if value == ABSENT else hash(f"{path}={value}")


def _sum(flat: Mapping[str, str]) -> int:
    return sum(_hash(path, value) for path, value in flat.items())
