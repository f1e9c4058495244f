"""Stages and points: chains, sharing, transfer, controls, retention."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid, Point
from pipeline.experiment.spec import Spec
from pipeline.experiment.stages import Stage
from pipeline.recipes.keys import key_of

Expand = Callable[..., Grid]


def points(grid: Grid, **wanted: object) -> list[Point]:
    return [p for p in grid.points if all(getattr(p, name) == value for name, value in wanted.items())]


def stage(grid: Grid, **wanted: object) -> Stage:
    (point,) = points(grid, **wanted)
    return grid.stages[point.stage]


def spec(**options: Any) -> Spec:
    """Two sources on digits, as Python writes them."""
    training = {"length": "2ep", "batch_size": 64, **options.pop("training", {})}
    prune = {"rate": 0.2, "rounds": 2, **options.pop("prune", {})}
    model = options.pop("model", "convnet-4")
    sides = [
        {"name": half, "model": model, "dataset": {"name": "digits", "half": half}, "training": training}
        for half in "ab"
    ]
    fields = {
        "name": "g", "seeds": 1, "sources": [{**side, "prune": prune} for side in sides],
        "targets": sides,
    }  # fmt: skip
    return Spec.model_validate({**fields, **options})


def written(stage: Stage) -> dict[str, Any]:
    """The fields of a stage's recipe, as a store has them."""
    return {**stage.recipe.fields()}


@pytest.mark.parametrize(
    ("options", "notes"),
    [
        ({"seeds": 1}, ["1 seed is too few for a test"]),
        ({"seeds": 2}, ["2 seeds are too few for a test"]),
        ({"seeds": 3}, []),
        ({"seeds": 1, "model": {"name": "perceptron", "networks": 100}}, []),  # which are tested one by one
    ],
)
def test_too_few_seeds_for_a_test_are_said(options: dict[str, object], notes: list[str]) -> None:
    if "model" in options:
        options = options | {"baselines": []}
        side = {"name": "xor", "dataset": "xor", "model": options.pop("model"), "training": {"length": "2ep"}}
        options |= {"sources": [{**side, "prune": {"rounds": 1}}], "targets": [side]}
    assert [note.partition(":")[0] for note in expand(spec(**options)).notes] == notes


def test_the_chain_of_a_source_is_train_prune_train(expanded: Expand) -> None:
    grid = expanded()
    chain = [grid.stages[key] for key in grid.stages if grid.stages[key].label.startswith("digits-a seed 0")]
    assert [s.kind for s in chain] == ["train", "prune"] * 3 + ["train"]
    for number in range(1, 4):
        before, prune, after = chain[2 * number - 2 : 2 * number + 1]
        assert prune.inputs["trained"].fields() == {"stage": before.key, "output": "final"}
        assert written(after)["start"] == {"mask": {"stage": prune.key, "output": "mask"}}
        assert (written(prune)["rule"], written(prune)["layers"]) == (
            {"rate": 0.5, "scope": "global"}, ["fc1.weight", "fc2.weight"],
        )  # fmt: skip
        assert ("mask" in prune.inputs) == (number > 1)
    assert written(chain[0]) == {
        "kind": "train", "recipe": 1, "model": {"name": "lenet", "hidden": [20, 10]}, "input": [1, 8, 8], "classes": 10,
        "data": {"name": "digits", "half": "a"}, "batch_size": 64, "iterations": 120, "record_every": 12,
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}, "augment": {"crop": 1},
        "seed": 0, "round": 0,
    }  # fmt: skip


def test_rewinding_to_a_step_reads_round_zero_and_transfer_redraws_the_head(expanded: Expand) -> None:
    grid = expanded(("rounds: 3", "rounds: 3, rewind: 1ep"))
    dense = stage(grid, ticket="dense", target="digits-a", seed=0)
    own = stage(grid, ticket="winning", source="digits-a", target="digits-a", round=2, seed=0)
    other = stage(grid, ticket="winning", source="digits-a", target="digits-b", round=2, seed=0)
    weights = {"stage": dense.key, "output": "it12"}
    assert written(own)["start"]["weights"] == written(other)["start"]["weights"] == weights
    assert written(own)["start"]["mask"] == written(other)["start"]["mask"]
    assert "head" not in written(own)["start"]
    assert written(other)["start"]["head"] == "redraw"
    assert (written(own)["data"]["half"], written(other)["data"]["half"]) == ("a", "b")


@pytest.mark.parametrize(
    ("rewind", "output", "of_round"), [("final", "final", 0), ("none", "final", 1), ("24it", "it24", 0)]
)
def test_what_a_ticket_of_round_two_starts_from(expanded: Expand, rewind: str, output: str, of_round: int) -> None:
    grid = expanded(("rounds: 3", f"rounds: 3, rewind: {rewind}"))
    weights = stage(grid, ticket="winning", source="digits-a", target="digits-b", round=2, seed=1).inputs["weights"]
    assert (weights.output, written(grid.stages[weights.stage])["round"]) == (output, of_round)
    assert output in grid.keep[weights.stage]


def test_a_tickets_start_is_not_the_chains_rewinding(expanded: Expand) -> None:
    tickets = (
        "[{name: zero, start: 0it}, {name: k, start: 1ep}, {name: end, start: final}, {name: trained, start: trained},"
        " {name: drawn, start: redrawn}]"
    )
    grid = expanded(("rounds: 3", "rounds: 3, rewind: 2ep"), ("[winning, random]", tickets))
    found = {}
    for name in ("zero", "k", "end", "trained", "drawn"):
        made = stage(grid, ticket=name, source="digits-a", target="digits-b", round=2, seed=0)
        weights = made.inputs.get("weights")
        found[name] = (weights.output, written(grid.stages[weights.stage])["round"]) if weights else None
        assert ("control" in written(made)["start"]) == (name == "drawn")
    assert found == {"zero": None, "k": ("it12", 0), "end": ("final", 0), "trained": ("final", 1), "drawn": None}
    kept = {grid.stages[key].label: outputs for key, outputs in grid.keep.items()}
    assert kept["digits-a seed 0 dense"] == {"it12", "it24", "final"}, "a ticket can be exported"
    assert "digits-a seed 0 round 1" not in kept


def test_starting_where_early_stopping_ends_reads_round_zero_and_changes_no_other_key(expanded: Expand) -> None:
    held_out = (("half: a", "half: a, validation: 99"), ("half: b", "half: b, validation: 99"))
    more = ("[winning, random]", "[winning, random, {name: theta-s, start: early-stop}]")
    plain, with_it = expanded(*held_out), expanded(*held_out, more)
    for number, target in ((1, "digits-b"), (2, "digits-b"), (3, "digits-a")):
        made = stage(with_it, ticket="theta-s", source="digits-a", target=target, round=number, seed=1)
        like = stage(with_it, ticket="winning", source="digits-a", target=target, round=number, seed=1)
        weights = made.inputs["weights"]
        assert (with_it.stages[weights.stage].label, weights.output) == ("digits-a seed 1 dense", "early-stop")
        assert made.inputs["mask"] == like.inputs["mask"] and "first_iteration" not in written(made)
    assert {key for key in with_it.stages if with_it.roles[key] != "theta-s"} == set(plain.stages)


def test_a_random_ticket_depends_on_the_count_alone_and_is_shared(expanded: Expand) -> None:
    grid = expanded()
    made = points(grid, ticket="random", target="digits-b", round=2, seed=1)
    assert [(p.source, p.mask, p.survivors, p.total) for p in made] == [("any", None, 370, 1480)]
    start = written(grid.stages[made[0].stage])["start"]
    assert start == {"survivors": 370, "control": {"mask": "permuted-globally", "weights": "redrawn"}}
    assert not grid.stages[made[0].stage].inputs


def test_random_tickets_of_differing_counts_keep_their_source(expanded: Expand) -> None:
    grid = expanded(("half: b}", "half: b}\n    prune: {rate: 0.4}"))
    assert {p.source for p in points(grid, ticket="random")} == {"digits-a", "digits-b"}


@pytest.mark.parametrize("mask", ["preserved", "permuted-within-layers", "permuted-globally"])
@pytest.mark.parametrize("weights", ["kept", "redrawn", "shuffled"])
def test_the_crossing_of_controls(expanded: Expand, mask: str, weights: str) -> None:
    ticket = f"[{{name: control, mask: {mask}, weights: {weights}}}]"
    grid = expanded(("[winning, random]", ticket), ("rounds: 3", "rounds: 3, rewind: 1ep"))
    target = "digits-b"
    made = points(grid, ticket="control", target=target, round=1, seed=0)
    for point in made:
        start = written(grid.stages[point.stage])["start"]
        if (mask, weights) == ("preserved", "kept"):
            assert "control" not in start
        else:
            assert start["control"] == {"mask": mask, "weights": weights}
        assert ("weights" in start) == (weights != "redrawn")
        assert ("mask" in start) == ((mask, weights) != ("permuted-globally", "redrawn"))


def test_only_the_optimizer_differs_the_head_is_kept_and_settings_override(expanded: Expand) -> None:
    optimizers = ("half: a}}", "half: a}, grid: {training.optimizer: [sgd, adam]}}")
    rewound = ("rounds: 3", "rounds: 3, rewind: 1ep")

    def heads(*more: tuple[str, str]) -> list[bool]:
        grid = expanded(optimizers, rewound, *more)
        source = "digits-a-optimizer=sgd"
        targets = [source, "digits-a-optimizer=adam", "digits-b"]
        made = [stage(grid, ticket="winning", source=source, target=target, round=1, seed=0) for target in targets]
        return ["head" in written(one)["start"] for one in made]

    assert heads() == [False, False, True]
    assert heads(("targets: same", "head: keep")) == [False, False, False]
    assert heads(("targets: same", "head: redraw")) == [False, True, True]
    assert heads(("targets: same", "diagonal: retrain")) == [True, False, True]


def test_round_zero_is_the_dense_network_and_theta_k_on_other_targets(expanded: Expand) -> None:
    grid = expanded(("rounds: 3", "rounds: 3, rewind: 1ep, evaluate: [0, 3]"))
    dense = stage(grid, ticket="dense", target="digits-a", seed=0)
    assert "start" not in written(dense)
    assert stage(grid, ticket="winning", source="digits-a", target="digits-a", round=0, seed=0) is dense
    assert stage(grid, ticket="random", source="any", target="digits-a", round=0, seed=0) is dense
    theta = stage(grid, ticket="winning", source="digits-a", target="digits-b", round=0, seed=0)
    assert written(theta)["start"] == {"weights": {"stage": dense.key, "output": "it12"}, "head": "redraw"}
    zero = expanded(("rounds: 3", "rounds: 3, evaluate: [0]"))
    assert len({p.stage for p in points(zero, target="digits-b", seed=0)}) == 1


def test_one_shot_prunes_round_zero_only(expanded: Expand) -> None:
    grid = expanded(("rate: 0.5, rounds: 3", "fractions: [0.5, 0.9], method: one-shot"))
    for mask in (s for s in grid.stages.values() if s.kind == "prune"):
        assert set(mask.inputs) == {"trained"}
        assert written(grid.stages[mask.inputs["trained"].stage])["round"] == 0
    assert [p.survivors for p in points(grid, ticket="random", target="digits-a", seed=0)] == [740, 148]
    by_rate = expanded(("rounds: 3", "rounds: 3, method: one-shot"))
    rounds = [written(by_rate.stages[s.inputs["trained"].stage])["round"]
              for s in by_rate.stages.values() if s.kind == "prune"]  # fmt: skip
    assert set(rounds) == {0}
    assert [p.survivors for p in points(by_rate, ticket="random", target="digits-a", seed=0)] == [740, 370, 185]


def test_the_remainder_trains_from_the_rewind_step_of_each_target(expanded: Expand) -> None:
    grid = expanded(
        ("rounds: 3", "rounds: 3, rewind: 2ep"),
        ("length: 10ep", "length: 10ep\n  after_rewind: remainder"),
        ("half: b}", "half: b}\n    training: {batch_size: 32}"),
    )
    for target, first in (("digits-a", 24), ("digits-b", 46)):
        made = stage(grid, ticket="winning", source="digits-a", target=target, round=1, seed=0)
        assert written(made)["first_iteration"] == first
        assert made.iterations == written(made)["iterations"] - first
        random = stage(grid, ticket="random", source="any", target=target, round=1, seed=0)
        assert "first_iteration" not in written(random)


def test_the_last_training_of_a_chain_is_there_only_for_its_evaluation(expanded: Expand) -> None:
    own = expanded()
    last = stage(own, ticket="winning", source="digits-a", target="digits-a", round=3, seed=0)
    assert own.roles[last.key] == "chain"
    assert own.keep[last.key] == {"final"}
    for without in (("rounds: 3", "rounds: 3, evaluate: [1, 2]"), ("targets: same", "pairs: {exclude: [['*', '*']]}")):
        grid = expanded(without)
        trained = [s for key, s in grid.stages.items() if grid.roles[key] == "chain"]
        assert max(written(s)["round"] for s in trained) == 2


def test_pairs_choose_what_is_evaluated(expanded: Expand) -> None:
    only = expanded(("targets: same", "pairs: {only: [[digits-a, '*b']]}"))
    assert {(p.source, p.target) for p in points(only, ticket="winning")} == {("digits-a", "digits-b")}
    excluded = expanded(("targets: same", "pairs: {exclude: [[digits-a, digits-b]]}"))
    assert ("digits-a", "digits-b") not in {(p.source, p.target) for p in excluded.points}
    assert len(points(excluded, ticket="winning")) == 3 * 3 * 2


def test_retention_says_what_is_kept(expanded: Expand) -> None:
    lean = expanded(("rounds: 3", "rounds: 3, rewind: 1ep"))
    outputs = Counter((lean.roles[key], output) for key, outputs in lean.keep.items() for output in outputs)
    assert outputs == {("prune", "mask"): 12, ("chain", "it12"): 4, ("chain", "final"): 4}
    weights = 64 * 20 + 20 * 10 + 10 * 10
    assert lean.kept_bytes == 12 * (weights // 8) + 8 * 4 * weights
    full = expanded(("targets: same", "retention: {chains: weights, evaluations: weights}"))
    trained = {key for key, s in full.stages.items() if s.kind == "train"}
    assert {key for key in trained if "final" in full.keep.get(key, ())} == trained


def test_workers_are_in_the_key_and_the_shape(expanded: Expand) -> None:
    grid = expanded(("targets: same", "resources: {workers: 2, cpus_per_worker: 3}"))
    trained = [s for s in grid.stages.values() if s.kind == "train"]
    assert {(written(s)["world_size"], s.shape.workers, s.shape.cpus_per_worker) for s in trained} == {(2, 2, 3.0)}


def test_counts_of_the_papers_figure_3() -> None:
    """PAPERS.md: 4 small sources x 4 small targets, six seeds, 14 evaluated rounds."""
    training = {"length": "160ep", "batch_size": 512, "lr_decay": {"at": ["80ep", "120ep"]}}
    prune = {"rate": 0.2, "rounds": 30, "rewind": "1ep", "evaluate": [1, 2, 3, 4, 5, 6, *range(9, 31, 3)]}
    datasets = ["digits", "mnist", "fashion_mnist", {"name": "mnist", "per_class": 500}]
    sides = [
        {"name": f"s{i}", "model": "convnet", "dataset": data, "training": training} for i, data in enumerate(datasets)
    ]
    grid = expand(
        Spec.model_validate(
            {
                "name": "figure-3",
                "seeds": 6,
                "targets": sides,
                "sources": [{**side, "prune": prune} for side in sides],
            }
        )
    )
    roles = Counter(grid.roles.values())
    assert roles == {"chain": 744, "prune": 720, "winning": 1008, "random": 336}
    assert sum(stage.kind == "train" for stage in grid.stages.values()) == 2088
    assert grid.requested == {"train": 3096, "prune": 720}


PRUNES = st.fixed_dictionaries(
    {"rate": st.sampled_from([0.2, 0.5]), "rounds": st.integers(1, 4)},
    optional={
        "scope": st.sampled_from(["global", "layerwise"]), "rewind": st.sampled_from(["0it", "1ep", "final", "none"]),
        "method": st.sampled_from(["iterative", "one-shot"]), "prune_output": st.booleans(),
    },
)  # fmt: skip
OPTIONS = st.fixed_dictionaries(
    {"prune": PRUNES, "seeds": st.integers(1, 2)},
    optional={
        "head": st.sampled_from(["auto", "keep", "redraw"]), "diagonal": st.sampled_from(["share", "retrain"]),
        "dense": st.booleans(), "tickets": st.sampled_from([["winning"], ["random"], ["winning", "random"], []]),
        "retention": st.fixed_dictionaries({"chains": st.sampled_from(["tickets", "weights"])}),
    },
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(OPTIONS)
def test_every_grid_is_a_dag_named_by_its_content(options: dict[str, object]) -> None:
    grid = expand(spec(**options))
    seen: set[str] = set()
    for key, made in grid.stages.items():
        assert key == made.key == key_of(written(made))
        fields = written(made)
        references = [value for value in [*fields.values(), *fields.get("start", {}).values()]
                      if isinstance(value, dict) and set(value) == {"stage", "output"}]  # fmt: skip
        assert references == [read.fields() for read in made.inputs.values()] or sorted(map(str, references)) == sorted(
            str(read.fields()) for read in made.inputs.values()
        )
        for read in made.inputs.values():
            assert read.stage in seen
            number = read.output.removeprefix("it")
            kind = grid.stages[read.stage].kind
            assert (read.output == "mask") == (kind == "prune")
            assert (
                kind == "prune"
                or read.output == "final"
                or int(number) <= written(grid.stages[read.stage])["iterations"]
            )
        seen.add(key)
    assert len(set(grid.points)) == len(grid.points)
    for point in grid.points:
        assert written(grid.stages[point.stage])["seed"] == point.seed
        assert point.fraction_pruned == 1 - point.survivors / point.total
        assert point.mask is None or point.mask in seen
    assert set(grid.keep) <= seen
    assert grid.requested["train"] >= sum(s.kind == "train" for s in grid.stages.values())


def test_a_dense_network_has_the_weights_that_its_tickets_are_counted_in() -> None:
    for prune in ({}, {"prune_output": True}):
        grid = expand(spec(prune=prune))
        assert len({point.total for point in grid.points if point.target == "a"}) == 1
        assert all(point.survivors == point.total for point in grid.points if point.ticket == "dense")


def test_several_draws_of_a_control_are_trainings_of_their_own_and_points_of_one_seed() -> None:
    tickets = [{"name": "winning"}, {"name": "redrawn", "weights": "redrawn", "draws": 3}]
    grid = expand(spec(tickets=tickets, prune={"evaluate": [0, 2]}))
    drawn = points(grid, ticket="redrawn", source="a", target="a", round=2)
    assert [point.draw for point in drawn] == [0, 1, 2]
    controls = [written(grid.stages[point.stage])["start"]["control"] for point in drawn]
    assert [control.get("draw") for control in controls] == [None, 1, 2]
    assert len({point.stage for point in drawn}) == 3
    assert [point.draw for point in points(grid, ticket="redrawn", source="a", target="a", round=0)] == [0]
    once = expand(spec(tickets=[{"name": "redrawn", "weights": "redrawn"}], prune={"evaluate": [2]}))
    assert stage(once, ticket="redrawn", source="a", target="a").key == drawn[0].stage


def test_draws_of_a_random_ticket_are_shared_by_all_sources_too() -> None:
    tickets = [{"name": "random", "mask": "permuted-globally", "draws": 2}]
    grid = expand(spec(tickets=tickets))
    assert {(p.source, p.draw) for p in points(grid, ticket="random", target="a", round=1)} == {("any", 0), ("any", 1)}


def test_initial_weights_are_kept_where_they_are_asked_for() -> None:
    assert not any("it0" in outputs for outputs in expand(spec()).keep.values())
    grid = expand(spec(retention={"initialization": True}))
    for source in "ab":
        read = grid.starts[source, 0]
        assert read.output == "it0" and "it0" in grid.keep[read.stage]
        assert written(grid.stages[read.stage])["round"] == 0
    rewound = expand(spec(prune={"rewind": "1ep"}))
    assert rewound.starts["a", 0].output.startswith("it") and rewound.starts["a", 0].output != "it0"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tickets": [{"name": "winning", "draws": 2}]}, "nothing in a winning ticket is drawn"),
        ({"prune": {"units": 1}}, "cannot go with units"),
        ({"prune": {"rate": None, "units": 1, "criterion": "magnitude"}}, "unknown criterion of units 'magnitude'"),
        ({"prune": {"rate": None, "units": 1, "prune_output": False}}, "no weights in the output layer either"),
        ({"prune": {"relative": {"head": 0.5}}}, "need scope: layerwise"),
        (
            {"prune": {"scope": "layerwise", "rates": {"conv1": 0.1}, "relative": {"conv2": 0.5}}},
            "cannot go with rates",
        ),
    ],
)
def test_what_cannot_be_drawn_or_pruned_is_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        spec(**changed)


def test_single_weights_of_units_are_not_permuted() -> None:
    data = {"name": "digits", "classes": [0, 1]}
    training = {"length": "2ep"}
    side = {"name": "a", "model": "perceptron-4", "dataset": data, "training": training}
    fields = {"name": "g", "seeds": 1, "sources": [{**side, "prune": {"units": 1, "rounds": 1}}], "targets": [side]}
    with pytest.raises(UserError, match="units are pruned whole"):
        expand(Spec.model_validate(fields))
    grid = expand(
        Spec.model_validate({**fields, "tickets": [{"name": "winning"}, {"name": "r", "weights": "redrawn"}]})
    )
    assert stage(grid, ticket="winning").training.start.layers.prunes_output is True
