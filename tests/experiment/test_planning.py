"""What has to run, from what a store has."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.experiment.diagram import mermaid
from pipeline.experiment.estimate import Rates, estimate
from pipeline.experiment.grid import Grid, expand
from pipeline.experiment.planning import Plan, plan
from pipeline.experiment.spec import Spec

Expand = Callable[..., Grid]


class Memory:
    """A state in a dictionary: what a store would have after running stages."""

    def __init__(self, grid: Grid | None = None, ran: Iterable[str] = ()) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        wanted = {} if grid is None else plan(grid, self).to_run
        for key in ran:
            self.run(key, wanted[key])

    def run(self, key: str, outputs: Iterable[str], status: str = "ok") -> None:
        record = self.records.setdefault(key, {"status": status, "outputs": {}})
        record["outputs"] |= {name: {"path": name} for name in outputs}

    def done(self, key: str) -> bool:
        return key in self.records

    def status(self, key: str) -> str | None:
        return self.records[key]["status"] if key in self.records else None

    def record(self, key: str) -> dict[str, Any] | None:
        return self.records.get(key)

    def available(self, key: str, output: str) -> bool:
        entry = self.records.get(key, {"outputs": {}})["outputs"].get(output)
        return entry is not None and not entry.get("collected") and not entry.get("lost")


def labels(grid: Grid, keys: Iterable[str]) -> list[str]:
    return [grid.stages[key].label for key in keys]


def key_of_label(grid: Grid, label: str) -> str:
    (found,) = [key for key, stage in grid.stages.items() if stage.label == label]
    return found


def test_weights_of_early_stopping_are_asked_for_only_where_a_ticket_starts_from_them(expanded: Expand) -> None:
    held_out = (("half: a", "half: a, validation: 99"), ("half: b", "half: b, validation: 99"))
    plain = expanded(*held_out)
    more = expanded(*held_out, ("[winning, random]", "[winning, random, {name: theta-s, start: early-stop}]"))
    without, with_them = plan(plain, Memory()).to_run, plan(more, Memory()).to_run
    sources = {key_of_label(more, f"digits-{half} seed {seed} dense") for half in "ab" for seed in (0, 1)}
    for key, outputs in without.items():
        assert with_them[key] == outputs | ({"early-stop"} if key in sources else set())
    later = plan(more, Memory(plain, without))
    assert {key for key in later.to_run if more.roles[key] != "theta-s"} == sources
    assert {later.to_run[key] for key in sources} == {frozenset({"early-stop"})}
    assert {later.reasons[key].split(" and ")[0] for key in sources} == {"'early-stop' was not stored"}


def test_an_empty_store_needs_everything_in_order(expanded: Expand) -> None:
    grid = expanded(("rounds: 3", "rounds: 3, rewind: 1ep"))
    todo = plan(grid, Memory())
    assert list(todo.to_run) == list(grid.stages)
    assert set(todo.reasons.values()) == {"new"}
    assert todo.to_run[key_of_label(grid, "digits-a seed 0 dense")] == {"history", "final", "it12"}
    assert todo.to_run[key_of_label(grid, "digits-a seed 0 prune 2")] == {"mask"}
    # dense, then prune and train three times
    assert (todo.chain_length, todo.chain_iterations) == (7, 4 * 120)
    assert todo.shared == {"train": 12 * 1, "prune": 0}


def test_a_full_store_needs_nothing(expanded: Expand) -> None:
    grid = expanded()
    todo = plan(grid, Memory(grid, grid.stages))
    assert (todo.to_run, todo.blocked, todo.chain_length) == ({}, {}, 0)
    assert todo.cached == list(grid.stages)


def test_one_more_round_or_target_runs_only_what_is_new(expanded: Expand) -> None:
    grid = expanded()
    memory = Memory(grid, grid.stages)
    for record in memory.records.values():  # collected as the retention has it
        record["outputs"].pop("final", None)
    for key, outputs in grid.keep.items():
        memory.run(key, outputs)
    longer = expanded(("rounds: 3", "rounds: 4"))
    assert set(labels(longer, plan(longer, memory).to_run)) == {
        label
        for seed in (0, 1)
        for one, other in (("a", "b"), ("b", "a"))
        for label in (
            f"digits-{one} seed {seed} prune 4",
            f"digits-{one} seed {seed} round 4",
            f"winning digits-{one} -> digits-{other} seed {seed} round 4",
            f"random any -> digits-{one} seed {seed} round 4",
        )
    }


def test_collected_weights_are_made_again_only_where_something_needs_them(expanded: Expand) -> None:
    grid = expanded()
    memory = Memory(grid, grid.stages)
    dense = key_of_label(grid, "digits-a seed 0 dense")
    memory.records[dense]["outputs"]["final"] = {"collected": True}
    assert plan(grid, memory).to_run == {}
    mask = key_of_label(grid, "digits-a seed 0 prune 1")
    memory.records[mask]["outputs"]["mask"]["lost"] = True
    todo = plan(grid, memory)
    assert todo.to_run == {dense: {"final"}, mask: {"mask"}}
    assert todo.reasons[mask] == "'mask' is damaged or missing and is needed by the tickets that are kept"
    assert todo.reasons[dense] == "'final' was collected and is needed by digits-a seed 0 prune 1"


def test_what_descends_from_a_diverged_source_is_blocked_and_the_rest_runs(expanded: Expand) -> None:
    grid = expanded(("rounds: 3", "rounds: 3, rewind: 1ep"))
    memory = Memory(grid)
    for label in ("dense", "prune 1"):
        key = key_of_label(grid, f"digits-a seed 0 {label}")
        memory.run(key, plan(grid, Memory()).to_run[key])
    diverged = key_of_label(grid, "digits-a seed 0 round 1")
    memory.run(diverged, ["history"], status="diverged")
    todo = plan(grid, memory)
    assert set(todo.blocked.values()) == {"digits-a seed 0 round 1 diverged"}
    blocked = labels(grid, todo.blocked)
    assert "digits-a seed 0 prune 2" in blocked
    assert "winning digits-a -> digits-b seed 0 round 3" in blocked
    running = labels(grid, todo.to_run)
    assert "winning digits-a -> digits-b seed 0 round 1" in running
    assert not [label for label in running if label.startswith("digits-a seed 0")]
    assert "random any -> digits-b seed 0 round 3" in running
    assert diverged in todo.cached


SPEC = Spec.model_validate(
    {
        "name": "g",
        "seeds": 2,
        "targets": [
            {
                "name": half,
                "model": "lenet-8",
                "dataset": {"name": "digits", "half": half},
                "training": {"length": "2ep"},
            }
            for half in "ab"
        ],
        "sources": [
            {
                "name": half,
                "model": "lenet-8",
                "dataset": {"name": "digits", "half": half},
                "training": {"length": "2ep"},
                "prune": {"rate": 0.5, "rounds": 3, "rewind": "1ep"},
            }
            for half in "ab"
        ],
    }
)
GRID = expand(SPEC)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_running_a_plan_from_any_state_leaves_nothing_to_do(data: st.DataObject) -> None:
    memory = Memory(GRID, data.draw(st.sets(st.sampled_from(list(GRID.stages)))))
    for key in sorted(memory.records):
        for name in sorted(memory.records[key]["outputs"]):
            memory.records[key]["outputs"][name] = data.draw(
                st.sampled_from([{}, {}, {"collected": True}, {"lost": True}])
            )
    todo = plan(GRID, memory)
    position = {key: number for number, key in enumerate(GRID.stages)}
    assert sorted(todo.to_run, key=position.__getitem__) == list(todo.to_run)
    for key, outputs in todo.to_run.items():
        assert outputs
        for read in GRID.stages[key].inputs.values():
            assert memory.available(read.stage, read.output), "an input is there when its stage is run"
        memory.run(key, outputs)
    again = plan(GRID, memory)
    assert again.to_run == {}
    for point in GRID.points:
        assert memory.available(point.stage, "history")
    for key, outputs in GRID.keep.items():
        assert all(memory.available(key, output) for output in outputs)


CPU = {"device": "cpu", "cpu": "Xeon"}
H200 = {"device": "cuda:0", "gpu": "NVIDIA H200"}
ON_GPUS = ("training:\n", "resources: {workers: 2, gpus_per_worker: 1}\ntraining:\n")


def timed(
    grid: Grid, seconds: float, hardware: dict[str, str], share: float | None = None, **fields: Any
) -> list[dict[str, Any]]:
    """Records of the grid's trainings as if each had taken so many seconds an iteration, the first far longer.

    A checkpoint has spared each of them nine tenths of its iterations. `share`: of a GPU, if there is one all of it.
    """
    trained = [stage for stage in grid.stages.values() if stage.kind == "train"]
    common = {"iterations": 1000, "timed_iterations": 100, "hardware": hardware}
    common["gpus_per_worker"] = float("gpu" in hardware) if share is None else share
    return [
        {"fields": {**stage.recipe.fields(), **fields}, "seconds": factor * seconds, **common}
        for stage, factor in zip(trained, [10_000, *[100] * len(trained)], strict=False)
    ]


def trainings(grid: Grid) -> int:
    return sum(stage.kind == "train" for stage in grid.stages.values())


def test_time_is_estimated_from_trainings_of_the_same_kind(expanded: Expand) -> None:
    grid = expanded()
    time = estimate(grid, plan(grid, Memory()), Rates.of(timed(grid, 0.01, CPU)))
    assert time.seconds == pytest.approx(trainings(grid) * 120 * 0.01)
    assert time.longest_chain == pytest.approx(4 * 120 * 0.01)
    assert (time.gpu_seconds, time.unknown) == (0, 0)
    assert {basis.source for basis in time.bases} == {"trainings of their own kind on Xeon"}
    empty = estimate(grid, plan(grid, Memory()), Rates())
    assert (empty.seconds, empty.unknown) == (0, trainings(grid))
    assert {basis.source for basis in empty.bases} == {None}


def test_another_data_set_serves_where_its_own_was_never_timed_and_is_named(expanded: Expand) -> None:
    grid = expanded()
    half = [record for record in timed(grid, 0.01, CPU) if record["fields"]["data"]["half"] == "b"]
    time = estimate(grid, plan(grid, Memory()), Rates.of([*half, *timed(grid, 9, CPU, batch_size=32)]))
    assert time.seconds == pytest.approx(trainings(grid) * 120 * 0.01)
    assert [basis.source for basis in time.bases] == [
        "trainings on digits on Xeon",
        "trainings of their own kind on Xeon",
    ]
    assert sum(basis.trainings for basis in time.bases) == trainings(grid)


@pytest.mark.parametrize(
    "other",
    [{"batch_size": 32}, {"precision": "bf16"}, {"world_size": 2}, {"input": [3, 8, 8]}, {"model": {"name": "vgg19"}}],
    ids=str,
)
def test_trainings_of_another_kind_tell_nothing(expanded: Expand, other: dict[str, Any]) -> None:
    grid = expanded()
    assert estimate(grid, plan(grid, Memory()), Rates.of(timed(grid, 1, CPU, **other))).unknown == trainings(grid)


def test_processors_tell_nothing_of_gpus_nor_gpus_of_processors(expanded: Expand) -> None:
    small, large = expanded(), expanded(ON_GPUS)
    assert large.stages.keys() != small.stages.keys(), "the workers are in the key"
    todo = plan(large, Memory())
    assert estimate(large, todo, Rates.of(timed(large, 0.01, CPU))).unknown == trainings(large)
    assert estimate(small, plan(small, Memory()), Rates.of(timed(small, 0.01, H200))).unknown == trainings(small)
    # nor does a whole GPU tell how long it takes on a half
    assert estimate(large, todo, Rates.of(timed(large, 0.01, H200, share=0.5))).unknown == trainings(large)
    time = estimate(large, todo, Rates.of(timed(large, 0.01, H200)))
    assert time.unknown == 0
    assert time.gpu_seconds == pytest.approx(2 * time.seconds), "two workers with a GPU each"
    assert {basis.source for basis in time.bases} == {"trainings of their own kind on NVIDIA H200"}


def test_a_throughput_gives_the_gpu_hours_of_what_was_never_timed(expanded: Expand) -> None:
    grid = expanded(ON_GPUS)
    todo = plan(grid, Memory())
    images = trainings(grid) * 120 * 64
    area = 8 * 8 / (32 * 32)
    time = estimate(grid, todo, Rates(throughput={"": 1000.0}))
    assert time.gpu_seconds == pytest.approx(images * area / 1000)
    assert time.seconds == pytest.approx(time.gpu_seconds / 2)
    assert {basis.source for basis in time.bases} == {"1,000 images of 32x32 a second of a GPU"}
    assert estimate(grid, todo, Rates(throughput={"lenet": 10.0, "": 1.0})).gpu_seconds == pytest.approx(
        images * area / 10
    )
    assert estimate(grid, todo, Rates(throughput={"vgg19": 10.0})).unknown == trainings(grid)
    halves = expanded(("training:\n", "resources: {gpus_per_worker: 0.5}\ntraining:\n"))
    half = estimate(halves, plan(halves, Memory()), Rates(throughput={"": 1000.0}))
    assert half.gpu_seconds == pytest.approx(time.gpu_seconds)
    assert half.seconds == pytest.approx(2 * half.gpu_seconds)
    measured = estimate(grid, todo, Rates.of(timed(grid, 0.01, H200), {"": 1000.0}))
    assert measured.seconds == pytest.approx(trainings(grid) * 120 * 0.01), "what was timed goes before"


def test_the_longest_chain_has_epochs_where_all_train_for_as_many(expanded: Expand) -> None:
    assert plan(expanded(), Memory()).chain_epochs == 4 * 10
    assert plan(expanded(("length: 10ep", "length: 10ep5it")), Memory()).chain_epochs is None
    longer = ("half: b}\n", "half: b}\n    training: {length: 20ep}\n")
    todo = plan(expanded(longer), Memory())
    assert (todo.chain_iterations, todo.chain_epochs) == (4 * 240, None)
    remainder = expanded(("length: 10ep", "length: 10ep\n  after_rewind: remainder"))
    assert plan(remainder, Memory()).chain_epochs is None


def test_figure_3_of_the_paper_saves_1848_of_5316_trainings() -> None:
    """PAPERS.md: six sources, four small targets for all of them and two large ones for the large sources."""
    training = {"length": "160ep", "batch_size": 512}
    prune = {"rate": 0.2, "rounds": 30, "rewind": "1ep", "evaluate": [1, 2, 3, 4, 5, 6, *range(9, 31, 3)]}
    sides = [
        {"name": f"s{n}", "model": "convnet", "dataset": {"name": "digits", "per_class": n}, "training": training}
        for n in range(20, 26)
    ]
    large = [[f"s{small}", f"s{target}"] for small in range(20, 24) for target in (24, 25)]
    document = {
        "name": "fig3",
        "seeds": 6,
        "targets": sides,
        "sources": [{**side, "prune": prune} for side in sides],
        "pairs": {"exclude": large},
    }
    todo = plan(expand(Spec.model_validate(document)), Memory())
    assert (todo.requested["train"], todo.shared["train"]) == (5316, 1848)
    assert (todo.chain_length, todo.chain_epochs) == (61, 31 * 160)


def test_the_diagram_shows_one_seed_and_what_is_to_run(expanded: Expand) -> None:
    grid = expanded()
    drawn = mermaid(grid, plan(grid, Memory()))
    assert drawn.startswith("flowchart LR\n")
    assert '(["digits-a prune 1"])' in drawn
    assert "-- final -->" in drawn
    assert "seed" not in drawn
    assert "class s0," in drawn
    assert drawn.count("prune 1") == 2
    assert isinstance(plan(grid, Memory()), Plan)


def test_planning_imports_neither_torch_nor_ray() -> None:
    code = (
        "import json, sys\n"
        "import pipeline.experiment.loading, pipeline.experiment.planning, pipeline.experiment.diagram\n"
        "import pipeline.experiment.estimate\n"
        "heavy = ('torch', 'ray', 'pandas', 'sklearn', 'numpy', 'pyarrow', 'PIL')\n"
        "print(json.dumps([name for name in heavy if name in sys.modules]))"
    )
    assert json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) == []
