"""What of a store can go: what no experiment needs, and, down to a budget, what costs the least to make again."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.engine.store import Snapshot, Store, layout
from pipeline.engine.store.filesystem import Listed
from pipeline.engine.store.records import Output, Record
from pipeline.experiment.grid import Grid
from pipeline.experiment.planning import plan
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.keys import canonical
from pipeline.recipes.recipe import recipe_from
from pipeline.recipes.references import Reference

_YOUNG = 3600.0
"""Seconds in which a file may wait for the record that names it, as `tickets verify` has it."""


@dataclass(frozen=True)
class Removal:
    """Something of one stage that goes: the stage whole, outputs of its record, or files that no record names."""

    key: str
    size: int
    """Bytes."""
    why: str
    outputs: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    seconds: float = 0.0
    """Of work, that it would take to make it again."""


@dataclass(frozen=True)
class Files:
    """Every file of a stage, by a listing."""

    records: Mapping[str, Listed]
    """By key, as the others."""
    payloads: Mapping[str, list[Listed]]
    checkpoints: Mapping[str, list[Listed]]
    leftovers: list[Listed]
    total: int
    """Bytes of the store."""
    now: float
    """Unix time of the newest file, by the clock of the file system."""


def listed(store: Store) -> Files:
    """The files of `store` now."""
    areas = {area: store.folder.files(area) for area in layout.AREAS}
    payloads: dict[str, list[Listed]] = {}
    checkpoints: dict[str, list[Listed]] = {}
    for file in areas["outputs"]:
        if (payload := layout.parse_payload(file.path)) is not None:
            payloads.setdefault(payload[0], []).append(file)
    for file in areas["checkpoints"]:
        if (checkpoint := layout.parse_checkpoint(file.path)) is not None:
            checkpoints.setdefault(checkpoint[0], []).append(file)
    files = [file for each in areas.values() for file in each]
    return Files(
        {key: file for file in areas["done"] if (key := layout.parse_record(file.path)) is not None},
        payloads,
        checkpoints,
        store.folder.leftovers(),
        sum(file.size for file in files),
        max((file.mtime_ns for file in files), default=0) / 1e9,
    )


def unneeded(grids: Collection[Grid], busy: Collection[str], snapshot: Snapshot, files: Files) -> Iterator[Removal]:
    """What no grid needs: stages of none, outputs that nothing reads any more, files that no record names.

    `busy`: keys of stages that somebody works on, of which everything stays. What is younger than an hour stays, too,
    where no record names it.
    """
    known = {key for grid in grids for key in grid.stages}
    needed = {needed for grid in grids for needed in _needed(grid, snapshot)}
    for key in sorted({*files.records, *files.payloads, *files.checkpoints} - set(busy)):
        own = [*files.payloads.get(key, ()), *files.checkpoints.get(key, ())]
        record = files.records.get(key)
        if key not in known:
            every = [*own, *([record] if record else [])]
            if record or _is_old(every, files):
                yield Removal(key, _size(every), "of no experiment")
            continue
        named = snapshot.record(key)
        if named is None:
            continue
        entries = named["outputs"]
        spare = frozenset(
            name
            for name in entries
            if name != "history" and (key, name) not in needed and snapshot.available(key, name)
        )
        if spare:
            yield Removal(key, sum(_freed(entries[name]) for name in spare), "read by nothing any more", spare)
        there = {entry["path"] for entry in entries.values() if "path" in entry}
        lost = [file for file in own if file.path not in there and _is_old([file], files)]
        if lost:
            yield Removal(key, _size(lost), "named by no record", paths=tuple(file.path for file in lost))
    left = [file for file in files.leftovers if _is_old([file], files)]
    if left:
        yield Removal("", _size(left), "left by killed writers", paths=tuple(file.path for file in left))


def cheapest(
    over: int, safe: Collection[str], gone: Collection[Removal], snapshot: Snapshot
) -> tuple[list[Removal], int]:
    """Outputs to remove so that `over` bytes are less, those first that cost the fewest seconds a byte; and how many
    bytes are still over then. Nothing of the stages `safe`, nor of what is `gone`.
    """
    costs = _Costs(snapshot)
    whole = {removal.key for removal in gone if not removal.outputs and not removal.paths}
    removed = {(removal.key, name) for removal in gone for name in removal.outputs}
    candidates = []
    for key in snapshot:
        record = snapshot.record(key)
        if record is None or key in safe or key in whole:
            continue
        for name, entry in record["outputs"].items():
            if (key, name) not in removed and snapshot.available(key, name):
                seconds = costs.of(key)
                candidates.append(Removal(key, _freed(entry), "to keep to the budget", frozenset({name}), (), seconds))
    candidates.sort(key=lambda each: (each.seconds / max(1, each.size), each.key, sorted(each.outputs)))
    chosen: list[Removal] = []
    for each in candidates:
        if over <= 0:
            break
        chosen.append(each)
        over -= each.size
    for each in reversed(chosen[:-1]):  # what the last one, a large one, has made room for
        if each.size <= -over:
            chosen.remove(each)
            over += each.size
    return chosen, max(0, over)


def _needed(grid: Grid, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Outputs (of a stage, by name) that a plan of the grid asks for, now and when it goes on."""
    for key, outputs in grid.keep.items():
        for name in outputs:
            yield key, name
    for key in plan(grid, snapshot).to_run:
        for read in grid.stages[key].inputs.values():
            yield read.stage, read.output


@dataclass
class _Costs:
    """Seconds that it takes to make the outputs of a stage again, with what it reads and the store has not."""

    _snapshot: Snapshot
    _known: dict[str, float] = field(default_factory=dict)

    def of(self, key: str) -> float:
        if key not in self._known:
            record = self._snapshot.record(key)
            own = 0.0 if record is None else record.get("seconds", 0.0)
            absent = (each.stage for each in _read_by(record) if not self._snapshot.available(each.stage, each.output))
            self._known[key] = own + sum(map(self.of, absent))
        return self._known[key]


def _read_by(record: Record | None) -> Collection[Reference]:
    """What the stage reads; nothing of one that another version made."""
    try:
        return () if record is None else list(recipe_from(record["fields"]).inputs.values())
    except UnfitError:
        return ()


def _freed(entry: Output) -> int:
    """Bytes that go with an output, those of its record that say where it is among them."""
    return entry["size"] + len(canonical(entry)) - len(canonical(Output(collected=True)))


def _size(files: Collection[Listed]) -> int:
    return sum(file.size for file in files)


def _is_old(files: Collection[Listed], among: Files) -> bool:
    return all(among.now - file.mtime_ns / 1e9 > _YOUNG for file in files)
