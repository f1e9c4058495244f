"""How much of a store is whose: bytes by experiment and kind, its own or shared with others."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.engine.experiments import every_version
from pipeline.engine.store import Store, layout

KINDS = ("records", "histories", "masks", "weights", "checkpoints")
"""What a stage has in a store."""
_OUTPUTS = {"history": "histories", "mask": "masks"}
"""Kinds of outputs; all others are weights."""


@dataclass(frozen=True)
class Usage:
    """Bytes, by kind but where it says otherwise."""

    own: Mapping[str, dict[str, int]]
    """By experiment: of stages that no other one has."""
    shared: Mapping[str, dict[str, int]]
    """By experiment: of stages that others have, too; they count with each."""
    stages: Mapping[str, int]
    """Finished ones, by experiment."""
    unclaimed: Mapping[str, int]
    """Of stages of no experiment that the store remembers."""
    other: Mapping[str, int]
    """By folder: what is of no stage."""
    total: int
    """Of all files, each once."""


def usage(store: Store) -> Usage:
    """Of what is in the store now, by a listing of its files; no record is read."""
    owners: dict[str, list[str]] = defaultdict(list)
    names = []
    for name, version in every_version(store):
        names.append(name)
        for key in version.stages:
            owners[key].append(name)
    own: dict[str, Counter[str]] = {name: Counter() for name in names}
    shared: dict[str, Counter[str]] = {name: Counter() for name in names}
    stages, unclaimed, total = Counter(dict.fromkeys(names, 0)), Counter[str](), 0
    for key, kind, size in _files(store):
        of = owners.get(key, [])
        for name in of:
            (own if len(of) == 1 else shared)[name][kind] += size
            stages[name] += kind == "records"
        if not of:
            unclaimed[kind] += size
        total += size
    other = {
        area: size
        for area in layout.AREAS
        if area not in ("done", "outputs", "checkpoints")
        and (size := sum(file.size for file in store.folder.files(area)))
    }
    each_own, each_shared = ({name: dict(of) for name, of in counted.items()} for counted in (own, shared))
    return Usage(each_own, each_shared, dict(stages), dict(unclaimed), other, total + sum(other.values()))


def _files(store: Store) -> Iterator[tuple[str, str, int]]:
    """Key of the stage, kind and bytes of each file that is of a stage."""
    for file in store.folder.files("done"):
        yield layout.stem(file.path), "records", file.size
    for file in store.folder.files("outputs"):
        parsed = layout.parse_payload(file.path)
        yield (parsed[0], _OUTPUTS.get(parsed[1], "weights"), file.size) if parsed else ("", "weights", file.size)
    for file in store.folder.files("checkpoints"):
        found = layout.parse_checkpoint(file.path)
        yield found[0] if found else "", "checkpoints", file.size
