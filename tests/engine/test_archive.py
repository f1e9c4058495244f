"""An experiment as one file: what is written, what is refused, and what a store makes of it."""

import dataclasses
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.archive import adding, manifest, reading, writing
from pipeline.engine.archive.adding import Added
from pipeline.engine.archive.manifest import Member
from pipeline.engine.driver import RunOptions, run
from pipeline.engine.experiments import recall, remember
from pipeline.engine.lanes.events import Done
from pipeline.engine.lanes.view import View
from pipeline.engine.store import Store, layout, records, sealed
from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.experiment.planning import plan

Members = dict[str, bytes]


def imported(file: Path, store: Path) -> Added:
    with reading.opened(file) as archive:
        return adding.add(archive, Store(str(store)))


def content(store: Path) -> dict[str, bytes]:
    return {str(file.relative_to(store)): file.read_bytes() for file in sorted(store.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def archived(uninterrupted: Path, small: Grid, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("archives") / "small.zip"
    writing.write(small, Store(str(uninterrupted)), str(file))
    return file


def test_equal_stores_give_equal_bytes(archived: Path, uninterrupted: Path, small: Grid, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(uninterrupted, copy)
    Store(str(copy)).compact(always=True)
    writing.write(small, Store(str(copy)), str(tmp_path / "again.zip"))
    assert (tmp_path / "again.zip").read_bytes() == archived.read_bytes()


def test_what_was_imported_is_cached_and_results_are_equal(
    archived: Path,
    small: Grid,
    tmp_path: Path,
    run_locally: Callable[..., Any],
    results_of: Callable[[Path], dict[str, Any]],
    expected: dict[str, Any],
) -> None:
    store = tmp_path / "store"
    added = imported(archived, store)
    assert (added.stages, added.differing) == (len(small.stages), ())
    summary, _ = run_locally(small, store)
    assert (summary.ran, summary.cached) == (0, len(small.stages))
    assert results_of(store) == expected
    assert not list(Store(str(store)).verify())


def test_a_second_import_changes_nothing(archived: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    imported(archived, store)
    before = content(store)
    assert imported(archived, store) == Added(0, 0, ())
    assert content(store) == before


def test_a_store_that_has_a_part_gets_the_rest(
    archived: Path,
    uninterrupted: Path,
    small: Grid,
    tmp_path: Path,
    results_of: Callable[[Path], dict[str, Any]],
    expected: dict[str, Any],
) -> None:
    store = tmp_path / "store"
    shutil.copytree(uninterrupted, store)
    gone = [key for place, key in enumerate(small.stages) if place % 3 == 0]
    for key in gone:
        (store / layout.record(key)).unlink()
    masks = [key for key in small.stages if small.stages[key].kind == "prune" and key not in gone]
    Store(str(store)).collect(masks[0], ["mask"])
    added = imported(archived, store)
    assert added.stages == len(gone)
    assert results_of(store) == expected


def test_an_extended_grid_trains_only_what_is_new(
    archived: Path, small_file: Path, small: Grid, tmp_path: Path, run_locally: Callable[..., Any]
) -> None:
    imported(archived, tmp_path / "store")
    more = expand(load(small_file, ["seeds=[0, 1]"]))
    summary, _ = run_locally(more, tmp_path / "store")
    assert (summary.cached, summary.ran) == (len(small.stages), len(more.stages) - len(small.stages))


@pytest.mark.parametrize("after", [2, 9])
def test_another_machine_goes_on_where_a_run_was_stopped(
    after: int,
    small: Grid,
    tmp_path: Path,
    quiet: Any,
    run_locally: Callable[..., Any],
    results_of: Callable[[Path], dict[str, Any]],
    expected: dict[str, Any],
) -> None:
    class Stopping(quiet):  # type: ignore[misc]  # a fixture gives the class
        def followed(self, view: View) -> None:
            super().followed(view)
            if sum(isinstance(event, Done) for event in self.events) == after:
                os.kill(os.getpid(), signal.SIGTERM)

    here, other, file = tmp_path / "here", tmp_path / "other", tmp_path / "a.zip"
    run(small, RunOptions(str(here), Path("data"), local=True), Stopping())
    left = plan(small, Store(str(here)).snapshot()).to_run
    assert 0 < len(left) < len(small.stages)
    writing.write(small, Store(str(here)), str(file))
    imported(file, other)
    assert plan(small, Store(str(other)).snapshot()).to_run == left
    summary, _ = run_locally(small, other)
    assert summary.ran == len(left)
    assert results_of(other) == expected


def test_a_store_keeps_results_of_its_own_that_differ(archived: Path, small: Grid, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    imported(archived, tmp_path / "store")
    point = small.points[0]
    record = store.record(point.stage)
    assert record is not None
    other: Any = {**record, "summary": {**record["summary"], "test_accuracy": 0.5}}
    store.folder.write(layout.record(point.stage), records.encode(other))
    assert imported(archived, tmp_path / "store").differing == (point.stage,)
    kept = store.record(point.stage)
    assert kept is not None and kept["summary"]["test_accuracy"] == 0.5


def test_only_results_have_no_weights_and_no_masks(small: Grid, uninterrupted: Path, tmp_path: Path) -> None:
    file = tmp_path / "results.zip"
    written = writing.write(small, Store(str(uninterrupted)), str(file), "results", {"results.parquet": b"rows"})
    kinds = {path.split("/")[2].split(".")[0] for path in written.manifest.members if path.startswith("outputs/")}
    assert kinds == {"history"}
    with reading.opened(file) as archive:
        assert archive.read("tables/results.parquet") == b"rows"
    imported(file, tmp_path / "store")
    assert not (tmp_path / "store" / "tables").exists()
    assert not [problem for problem in Store(str(tmp_path / "store")).verify() if problem.severity == "error"]


def test_weights_are_those_that_the_store_has(small: Grid, uninterrupted: Path, tmp_path: Path) -> None:
    of_all = writing.write(small, Store(str(uninterrupted)), str(tmp_path / "all.zip"), "weights").manifest
    there = {path for path in content(uninterrupted) if path.startswith("outputs/")}
    assert {path for path in of_all.members if path.startswith("outputs/")} == there


def test_what_the_store_has_lost_is_counted_and_marked(
    small: Grid, uninterrupted: Path, tmp_path: Path, run_locally: Callable[..., Any]
) -> None:
    store = tmp_path / "store"
    shutil.copytree(uninterrupted, store)
    mask = next((store / "outputs").glob("*/mask.*"))
    mask.unlink()
    assert writing.write(small, Store(str(store)), str(tmp_path / "a.zip")).lost == 1
    imported(tmp_path / "a.zip", tmp_path / "other")
    assert run_locally(small, tmp_path / "other")[0].ran > 0


def test_a_damaged_output_is_named_and_no_file_is_written(small: Grid, uninterrupted: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(uninterrupted, store)
    mask = next((store / "outputs").glob("*/mask.*"))
    mask.write_bytes(mask.read_bytes()[:-1] + b"\xff")
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=r"Output 'mask' .* does not match its SHA-256"):
        writing.write(small, Store(str(store)), str(tmp_path / "out" / "a.zip"))
    assert not list((tmp_path / "out").iterdir())


def test_nothing_done_and_impossible_places_are_told(small: Grid, uninterrupted: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Nothing of small is done"):
        writing.write(small, Store(str(tmp_path / "empty")), str(tmp_path / "a.zip"))
    with pytest.raises(UserError, match=r"its folder is not there"):
        writing.write(small, Store(str(uninterrupted)), str(tmp_path / "none" / "a.zip"))
    with pytest.raises(UserError, match=r"is a folder"):
        writing.write(small, Store(str(uninterrupted)), str(tmp_path))


# What an altered archive is refused for. The first ones are damage; the others are made with care, so that all but one
# thing is right, the signature included.


def flipped(share: float) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        place = min(len(data) - 1, int(share * len(data)))
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return change


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    **{f"a bit at {share}": flipped(share) for share in (0.0, 0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)},
    "cut off in the middle": lambda data: data[: len(data) // 2],
    "cut off at the end": lambda data: data[:-1],
    "something behind it": lambda data: data + b"\n",
    "something before it": lambda data: b"\n" + data,
    "nothing": lambda data: b"",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_archive_is_refused_whole(name: str, archived: Path, tmp_path: Path) -> None:
    refused(DAMAGE[name](archived.read_bytes()), tmp_path, "cut off or altered")


def signed(data: bytes, folder: Path) -> bytes:
    file = folder / "unsigned"
    file.write_bytes(data)
    with file.open("rb") as opened:
        return data[: -manifest.SIGNATURE] + manifest.signature(opened)


def built(members: Members, folder: Path, attributes: dict[str, int] | None = None, twice: str = "") -> bytes:
    """An archive of these members, signed."""
    file = folder / "built.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in [*members.items(), *([(twice, members[twice])] if twice else [])]:
            info = zipfile.ZipInfo(path)
            info.external_attr = (attributes or {}).get(path, stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
        archive.comment = b"0" * manifest.SIGNATURE
    return signed(file.read_bytes(), folder)


def with_manifest(members: Members, **changes: Any) -> Members:
    """The same with a manifest that is right about all members, but for `changes`."""
    old = manifest.decode(members[manifest.NAME])
    others = {path: data for path, data in members.items() if path != manifest.NAME}
    named = {path: Member(path, len(data), layout.sha256(data)) for path, data in others.items()}
    new = dataclasses.replace(old, members={**named, **changes.pop("other", {})}, **changes)
    return {manifest.NAME: new.encode(), **others}


def first(members: Members, beginning: str) -> str:
    return next(path for path in sorted(members) if path.startswith(beginning))


def resealed(members: Members, change: Callable[[Any], Any]) -> Members:
    path = first(members, "done/")
    record = change(json.loads(sealed.check(path, members[path])))
    return with_manifest({**members, path: sealed.seal(path, record)})


def without(members: Members, path: str) -> Members:
    return {name: data for name, data in members.items() if name != path}


def renamed(members: Members, old: str, new: str) -> Members:
    return with_manifest({new if name == old else name: data for name, data in members.items()})


def other_fields(record: Any) -> Any:
    return {**record, "fields": {**record["fields"], "seed": 77}}


def with_file_at(path: str, members: Members, folder: Path) -> bytes:
    return built(with_manifest({**members, path: b"x"}), folder)


PAYLOAD, ZEROS = "outputs/", bytes(50_000_000)
CAREFUL: dict[str, tuple[Callable[[Members, Path], bytes], str]] = {
    **{
        f"a file at {path}": (
            partial(with_file_at, path),
            "is no place of a store",
        )
        for path in (
            *("../outside", "/absolute", "done/../../outside.json", "claims/k.json", "drivers/d.json", "done/k.txt"),
            *(
                "outputs/k/final.safetensors",
                "documents/mlflow/x.json",
                "tables/../x",
                "outputs\\k",
                "tables/.x",
                "index/x",
            ),
        )
    },
    "a file that is not named": (lambda m, f: built({**m, "done/k.json": b"x"}, f), "done/k.json is not named"),
    "a link": (lambda m, f: built(m, f, {first(m, PAYLOAD): stat.S_IFLNK | 0o777}), r"outputs/\S+ is no plain file"),
    "a folder": (lambda m, f: built(m, f, {first(m, PAYLOAD): stat.S_IFDIR | 0o755}), "is no plain file"),
    "a device": (lambda m, f: built(m, f, {first(m, PAYLOAD): stat.S_IFCHR | 0o644}), "is no plain file"),
    "a member twice": (lambda m, f: built(m, f, twice=first(m, PAYLOAD)), r"outputs/\S+ is in it twice"),
    "no manifest": (lambda m, f: built(without(m, manifest.NAME), f), "has no archive.json"),
    "a manifest of another layout": (
        lambda m, f: built({**m, manifest.NAME: sealed.seal(manifest.NAME, {"layout": 9})}, f),
        "is of layout 9",
    ),
    "a manifest without members": (
        lambda m, f: built({**m, manifest.NAME: sealed.seal(manifest.NAME, {"layout": 1})}, f),
        "archive.json lacks something",
    ),
    "a missing record": (lambda m, f: built(without(m, first(m, "done/")), f), r"done/\S+ is missing"),
    "a missing output": (lambda m, f: built(without(m, first(m, PAYLOAD)), f), r"outputs/\S+ is missing"),
    "an output that only its record names": (
        lambda m, f: built(with_manifest(without(m, first(m, PAYLOAD))), f),
        r"outputs/\S+, which a record names, is not in it",
    ),
    "a record that only the grid has": (
        lambda m, f: built(with_manifest(without(m, first(m, "done/"))), f),
        "archive.json counts",
    ),
    "no grid": (lambda m, f: built(with_manifest(without(m, first(m, "documents/"))), f), "has 0 grids"),
    "a grid of another name": (
        lambda m, f: built(with_manifest(m, experiment="other"), f),
        "should have the grid of other",
    ),
    "a grid under another name": (
        lambda m, f: built(renamed(m, first(m, "documents/"), "documents/grids/small@0.json"), f),
        "was written under another name",
    ),
    "a record of another key": (
        lambda m, f: built(renamed(m, first(m, "done/"), f"done/{'0' * 64}.json"), f),
        r"done/0+.json was written under another name",
    ),
    "a record of other fields": (lambda m, f: built(resealed(m, other_fields), f), "its fields have another key"),
    "a record of another status": (
        lambda m, f: built(resealed(m, lambda record: {**record, "status": "fine"}), f),
        "has the status 'fine'",
    ),
    "a record whose seconds are a word": (
        lambda m, f: built(resealed(m, lambda record: {**record, "seconds": "x"}), f),
        r"done/\S+ has a wrong type of seconds",
    ),
    "a record that is no JSON": (
        lambda m, f: built(with_manifest({**m, first(m, "done/"): unparsed(first(m, "done/"), b"[1,}")}), f),
        r"done/\S+ ",
    ),
    "a record of many megabytes": (
        lambda m, f: built(with_manifest({**m, first(m, "done/"): bytes(5_000_000)}), f),
        r"done/\S+ would have 5,000,000 bytes",
    ),
    "a record that nests without end": (
        lambda m, f: built(with_manifest({**m, first(m, "done/"): nested(first(m, "done/"))}), f),
        r"done/\S+ ",
    ),
    "an output of other bytes": (
        lambda m, f: built(with_manifest({**m, first(m, PAYLOAD): b"other"}), f),
        "named after another SHA-256",
    ),
    "a size that lies in the manifest": (
        lambda m, f: built(with_manifest(m, other={(p := first(m, PAYLOAD)): Member(p, 9, layout.sha256(m[p]))}), f),
        "and archive.json says 9",
    ),
    "a bomb that says its size": (
        lambda m, f: built({**m, first(m, PAYLOAD): ZEROS}, f),
        "would have 50,000,000 bytes",
    ),
    "a bomb that lies": (lambda m, f: lying(m, f), "(cannot be unpacked|is not what was archived)"),
}


def nested(path: str) -> bytes:
    """A sealed record of 100,000 lists in one another, which no parser should follow."""
    return unparsed(path, b"[" * 100_000 + b"]" * 100_000)


def unparsed(path: str, content: bytes) -> bytes:
    """A sealed file of any content."""
    head = sealed.seal(path, {"key": 0})[: -sealed._TAIL].replace(b'{"key":0}', content)
    return head + sealed._BEFORE_DIGEST + layout.sha256(head).encode() + sealed._AFTER_DIGEST


def lying(members: Members, folder: Path) -> bytes:
    """Zeros behind headers that tell the size of what should be there."""
    path = first(members, PAYLOAD)
    size = struct.pack("<I", len(ZEROS))
    true = struct.pack("<I", len(members[path]))
    data = built({**members, path: ZEROS}, folder)
    assert data.count(size) >= 2
    return signed(data.replace(size, true), folder)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", CAREFUL)
def test_an_altered_archive_is_refused_by_name(name: str, archived: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archived) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    change, why = CAREFUL[name]
    refused(change(members, tmp_path), tmp_path, why)


def test_what_the_alterations_are_made_with_alters_nothing_by_itself(archived: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archived) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    (tmp_path / "same.zip").write_bytes(built(with_manifest(members), tmp_path))
    assert imported(tmp_path / "same.zip", tmp_path / "store").stages


def refused(data: bytes, folder: Path, why: str) -> None:
    """It is, before the store changes: not even a folder is made outside it."""
    file, store = folder / "altered.zip", folder / "place" / "store"
    file.write_bytes(data)
    Store(str(store)).documents.write("grids/mine", {"a": 1})
    before = content(folder)
    with pytest.raises(UserError, match=rf"altered\.zip is not imported: .*{why}"):
        imported(file, store)
    assert content(folder) == before


SLOW_IMPORT = """
import sys, time
from pathlib import Path
from pipeline.engine.archive import adding, reading
from pipeline.engine.store import Store
store = Store(sys.argv[2])
finish = store.finish
store.finish = lambda record: (time.sleep(0.02), print("record", flush=True), finish(record))[-1]
with reading.opened(Path(sys.argv[1])) as archive:
    adding.add(archive, store)
"""


@pytest.mark.parametrize("after", [1, 7, 15])
def test_an_import_that_is_killed_leaves_a_whole_store_and_is_finished_by_another(
    after: int, archived: Path, tmp_path: Path, results_of: Callable[[Path], dict[str, Any]], expected: dict[str, Any]
) -> None:
    command = [sys.executable, "-c", SLOW_IMPORT, str(archived), str(tmp_path / "store")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(after):
        process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    store = Store(str(tmp_path / "store"))
    assert not [problem for problem in store.verify() if problem.severity == "error"]
    imported(archived, tmp_path / "store")
    assert results_of(tmp_path / "store") == expected


SLOW_ARCHIVE = """
import sys, time
from pipeline.engine.archive import writing
from pipeline.engine.experiments import recall
from pipeline.engine.store import Store
add = writing._add
writing._add = lambda *arguments: (time.sleep(0.02), print("member", flush=True), add(*arguments))[-1]
store = Store(sys.argv[1])
writing.write(recall(store, "small"), store, sys.argv[2])
"""


def test_an_archive_that_is_killed_leaves_the_earlier_one(archived: Path, uninterrupted: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "small.zip"
    out.parent.mkdir()
    out.write_bytes(b"the earlier one")
    command = [sys.executable, "-c", SLOW_ARCHIVE, str(uninterrupted), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert out.read_bytes() == b"the earlier one"
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert out.read_bytes() == archived.read_bytes()


def test_a_store_without_room_refuses_and_is_as_before(
    archived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    Store(str(store))
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"room for 1,000 bytes, and the import needs"):
        imported(archived, store)
    assert not content(store)


def test_an_experiment_of_the_same_name_becomes_another_version(
    archived: Path, small: Grid, small_file: Path, tmp_path: Path
) -> None:
    other = expand(load(small_file, ["model=lenet-30"]))
    store = Store(str(tmp_path / "store"))
    remember(store, other)
    imported(archived, tmp_path / "store")
    assert len(store.documents.names("grids")) == 2


def test_what_the_stores_own_version_keeps_is_kept_after_an_import(
    archived: Path, small: Grid, small_file: Path, tmp_path: Path, run_locally: Callable[..., Any]
) -> None:
    """The same results with other retention: neither takes the other's weights from it."""
    more = expand(load(small_file, ["retention={chains: weights, evaluations: weights}"]))
    store = Store(str(tmp_path / "store"))
    run_locally(more, tmp_path / "store")
    imported(archived, tmp_path / "store")
    kept = recall(store, "small").keep
    assert all(kept[key] >= outputs for grid in (more, small) for key, outputs in grid.keep.items())
    assert len(store.documents.names("grids")) == 1
