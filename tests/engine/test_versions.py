"""What an experiment's name stands for: versions, none of which another one makes unreadable."""

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine import driver
from pipeline.engine.driver import RunOptions, run
from pipeline.engine.experiments import number_of, other_version, recall, remember, versions
from pipeline.engine.failures import failures, remember_failures
from pipeline.engine.grid_documents import encode
from pipeline.engine.store import Store
from pipeline.engine.store.documents import Documents
from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.report.name_taken import note_on_name

GRID = """
name: one
model: lenet-10
seeds: [0, 1]
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 1ep}
prune: {rate: 0.4, rounds: 1, rewind: 5it}
sources: [{name: low, dataset: {name: digits, classes: [0, 1, 2]}}]
targets: [{name: low, dataset: {name: digits, classes: [0, 1, 2]}}]
"""
FASTER = "training.optimizer.lr=0.2"
MORE = "targets=[{name: low, dataset: {name: digits, classes: [0, 1, 2]}}, {name: high, dataset: {name: digits, classes: [3, 4, 5]}}]"  # fmt: skip  # noqa: E501

Make = Callable[..., Grid]


class InMemory(Documents):
    def __init__(self) -> None:
        self.contents: dict[str, Any] = {}

    def read(self, name: str) -> Any | None:
        return self.contents.get(name)

    def write(self, name: str, content: object) -> None:
        self.contents[name] = content

    def delete(self, name: str) -> None:
        self.contents.pop(name, None)

    def names(self, folder: str) -> list[str]:
        return sorted(name.removeprefix(f"{folder}/") for name in self.contents if name.startswith(f"{folder}/"))


class Memory:
    """A store in memory; `finished`: keys of stages that are done."""

    uri = "memory"

    def __init__(self) -> None:
        self.documents = InMemory()
        self.finished: set[str] = set()

    def snapshot(self) -> "Memory":
        return self

    def done(self, key: str) -> bool:
        return key in self.finished

    def finish(self, *grids: Grid) -> None:
        self.finished |= {point.stage for grid in grids for point in grid.points}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def grid(*overrides: str) -> Grid:
        (tmp_path / "grid.yaml").write_text(GRID)
        return expand(load(tmp_path / "grid.yaml", overrides))

    return grid


def numbers(store: Any, grids: Sequence[Grid]) -> list[int]:
    return [number_of(versions(store, "one"), grid) for grid in grids]


def test_another_grid_under_a_name_is_another_version_and_both_are_read(make: Make) -> None:
    store, first, second = Memory(), make(), make(FASTER)
    remember(store, first)
    remember(store, second)
    assert numbers(store, [first, second]) == [1, 2]
    store.finish(first)
    assert recall(store, "one").points == first.points, "the newest has no result"
    store.finish(second)
    assert recall(store, "one").points == second.points
    assert (recall(store, "one@1").points, recall(store, "one@2").points) == (first.points, second.points)
    for wrong in ("one@3", "one@0", "one@", "one@x"):
        with pytest.raises(UserError, match=r"There is no version one@.* in memory: it has one@1, one@2\."):
            recall(store, wrong)


@pytest.mark.parametrize("extension", [MORE, "seeds=[0, 1, 2]", "prune.rounds=2"])
def test_an_extension_is_the_same_experiment_and_so_is_a_part_of_it(make: Make, extension: str) -> None:
    for order in ([(), (extension,)], [(extension,), ()]):
        store, grids = Memory(), [make(*overrides) for overrides in order]
        for grid in grids:
            assert other_version(store, grid) is None
            remember(store, grid)
        assert numbers(store, grids) == [1, 1]
        assert recall(store, "one").points == make(extension).points


def test_what_is_read_otherwise_is_the_same_experiment_read_anew(make: Make) -> None:
    store = Memory()
    remember(store, make())
    remember(store, make("analysis.margin=0.2"))
    assert len(versions(store, "one")) == 1
    assert recall(store, "one").spec.analysis.margin == 0.2


def test_an_extension_keeps_the_number_of_what_it_extends(make: Make) -> None:
    store = Memory()
    for grid in (make(), make(FASTER), make("seeds=[0, 1, 2]")):
        remember(store, grid)
    assert numbers(store, [make(), make("seeds=[0, 1, 2]"), make(FASTER)]) == [1, 1, 2]


def test_a_store_of_the_program_before_has_version_1(make: Make) -> None:
    first, second, store = make(), make(FASTER), Memory()
    store.documents.write("grids/one", encode(first))
    store.documents.write("failures/one", {"failed": {"a": "no room"}, "skipped": {}})
    assert recall(store, "one").points == recall(store, "one@1").points == first.points
    remember(store, second)
    assert numbers(store, [first, second]) == [1, 2]
    assert failures(store, "one")[0] == {"a": "no room"}
    other = other_version(store, make("training.batch_size=32"))
    assert other is not None and other.number == 2


def test_drivers_that_begin_at_the_same_time_lose_no_version_of_each_other(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, first, second = Memory(), make(), make(FASTER)
    with monkeypatch.context() as patched:  # neither sees what the other one writes
        patched.setattr(store.documents, "names", lambda folder: [])
        documents = [remember(store, grid) for grid in (first, second)]
    assert len(versions(store, "one")) == 2
    for document, key in zip(documents, "ab", strict=True):
        remember_failures(store, document, {key: "no room"}, {})
    assert failures(store, "one")[0] == {"a": "no room", "b": "no room"}


def test_a_document_that_is_replaced_while_it_is_looked_for_is_found_in_the_other(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Memory()
    old = remember(store, make())
    remember(store, make("seeds=[0, 1, 2]"))
    names, asked = store.documents.names, count(1)
    monkeypatch.setattr(store.documents, "names", lambda folder: [old] if next(asked) == 1 else names(folder))
    assert [version.results is not None for version in versions(store, "one")] == [True]


def test_failures_of_a_part_leave_those_of_the_rest(make: Make) -> None:
    store = Memory()
    document = remember(store, make())
    remember_failures(store, document, {"a": "no room", "b": "no room"}, {}, ["a", "b"])
    remember_failures(store, document, {}, {"b": "reads a"}, ["b"])
    assert failures(store, "one") == ({"a": "no room"}, {"b": "reads a"})


def test_a_run_that_finds_no_cluster_takes_no_name_over(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch, unheard: Any
) -> None:
    store = Store(tmp_path / "store")

    def nowhere(*_: object) -> None:
        raise UserError("no cluster")

    with monkeypatch.context() as patched:
        patched.setattr(driver, "_lanes", nowhere)
        with pytest.raises(UserError, match="no cluster"):
            run(make(), RunOptions(store.uri, tmp_path), unheard)
    assert store.documents.names("grids") == []
    run(make("seeds=[0]"), RunOptions(store.uri, tmp_path, local=True), unheard)
    assert len(store.documents.names("grids")) == 1
    assert recall(store, "one@1").points == make("seeds=[0]").points


def test_a_name_with_a_version_in_it_is_refused(make: Make) -> None:
    with pytest.raises(UserError, match="name: 'one@2' should begin with a letter or digit and hold letters, digits"):
        make("name=one@2")


def test_a_damaged_document_shifts_no_number_and_is_written_anew_by_its_own_grid(make: Make) -> None:
    store, grids = Memory(), [make(), make(FASTER)]
    documents = [remember(store, grid) for grid in grids]
    for damaged, whole in ((0, 1), (1, 0)):
        store.documents.write(f"grids/{documents[damaged]}", None)
        assert numbers(store, grids) == [1, 2]
        assert recall(store, f"one@{whole + 1}").points == grids[whole].points
        with pytest.raises(UserError, match="the file is damaged"):
            recall(store, f"one@{damaged + 1}")
        assert other_version(store, grids[damaged]) is None, "it is this grid"
        assert remember(store, grids[damaged]) == documents[damaged]
        assert numbers(store, grids) == [1, 2] and recall(store, f"one@{damaged + 1}").points == grids[damaged].points


def test_of_a_name_whose_document_is_damaged_no_difference_is_claimed(tmp_path: Path, make: Make) -> None:
    store = Store(tmp_path / "store")
    path = tmp_path / "store/documents/grids" / f"{remember(store, make())}.json"
    path.write_bytes(path.read_bytes()[:-9])
    assert note_on_name(make(), store) is None
    note = note_on_name(make(FASTER), store)
    assert note is not None and f"is damaged (documents/grids/{path.name})" in note and "its data" not in note
