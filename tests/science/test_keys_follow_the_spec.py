"""Every field of a grid, changed alone: the results that it can change get other keys, all others keep theirs.

A field that is missing from a key gives one result for two experiments; one that is there without need trains twice.
"""

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from pipeline.engine.driver import Listener, RunOptions, run
from pipeline.engine.store import Store
from pipeline.experiment.datasets import EmbeddedData
from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load
from pipeline.experiment.spec import Spec
from pipeline.experiment.spec_pruning import Prune
from pipeline.experiment.spec_tickets import TicketKind
from pipeline.experiment.spec_training import OPTIMIZERS, Augment, LrDecay, Resources, Training

BASE: dict[str, Any] = {
    "name": "base",
    "model": "lenet-16-8",
    "seeds": [0, 1],
    "training": {
        "optimizer": {"name": "sgd", "lr": 0.1},
        "batch_size": 64,
        "length": "10ep",
        "lr_decay": {"at": ["5ep"], "factor": 0.1},
    },
    "prune": {"rate": 0.5, "rounds": 3, "scope": "layerwise", "rewind": "1ep"},
    "sources": [
        {"name": "low", "dataset": {"name": "digits", "classes": [0, 1, 3, 9]}},
        {"name": "high", "dataset": {"name": "digits", "classes": [4, 5, 6, 7]}},
    ],
    "tickets": [
        {"name": "winning"},
        {"name": "random", "mask": "permuted-globally", "weights": "redrawn"},
        {"name": "shuffled", "mask": "permuted-within-layers", "weights": "shuffled"},
    ],
}
OWN, OTHER = "winning on its source", "winning on another target"
SOURCES = {OWN, OTHER, "shuffled", "mask"}  # what descends from the chain
ALL = {"dense", "random", *SOURCES}
NOTHING: set[str] = set()

TRAINING = {
    "optimizer": ({"name": "adam", "lr": 0.1}, ALL),
    "batch_size": (32, ALL),
    "length": ("11ep", ALL),
    "lr_decay": (None, ALL),
    "augment": ("none", ALL),
    "record_every": ("2ep", ALL),
    "precision": ("bf16", ALL),
    "channels_last": (True, ALL),
    "compile": (True, ALL),
    "norm_batch": (16, ALL),
    "after_rewind": ("remainder", SOURCES),
}
FIELDS: dict[type[BaseModel], tuple[str, dict[str, tuple[Any, set[str]]]]] = {
    Spec: (
        "",
        {
            "name": ("renamed", NOTHING),
            "description": ("in other words", NOTHING),
            "max_stages": (1000, NOTHING),
            "seeds": ([5, 6], ALL),
            "sources": (BASE["sources"][:1], NOTHING),
            "targets": ([{**BASE["sources"][0], "training": {"batch_size": 64}}], NOTHING),
            "pairs": ({"only": [["low", "high"]]}, NOTHING),
            "tickets": (BASE["tickets"][:1], NOTHING),
            "head": ("keep", {OTHER, "shuffled"}),
            "diagonal": ("retrain", {OWN, "shuffled"}),
            "dense": ("repeated", NOTHING),  # the first draw is the one that there was
            "baselines": ([{"name": "linear", "target": "low", "model": "linear"}], NOTHING),
            "retention": ({"chains": "weights", "evaluations": "weights"}, NOTHING),
            "analysis": ({"fraction_pruned": 0.5, "margin": 0.02, "convergence": "moving-average"}, NOTHING),
        },
    ),
    Training: ("training.", TRAINING),
    OPTIMIZERS["sgd"]: (
        "training.optimizer.",
        {
            "name": ("adam", ALL),
            "lr": (0.2, ALL),
            "momentum": (0, ALL),
            "weight_decay": (0, ALL),
            "nesterov": (True, ALL),
        },
    ),
    LrDecay: ("training.lr_decay.", {"at": (["6ep"], ALL), "factor": (0.2, ALL)}),
    Augment: ("training.augment.", {"flip": (True, ALL), "crop": (2, ALL), "resized_crop": (True, ALL)}),
    Resources: (
        "resources.",
        {
            "workers": (2, ALL),
            "gpus_per_worker": (0.5, NOTHING),
            "images": ("streaming", NOTHING),
            "cpus_per_worker": (2, NOTHING),
        },
    ),
    Prune: (
        "prune.",
        {
            "rate": (0.4, SOURCES | {"random"}),
            "rounds": (4, NOTHING),
            "fractions": ([0.4, 0.7, 0.8], SOURCES | {"random"}),
            "method": ("one-shot", SOURCES),
            "scope": ("global", SOURCES),  # the same counts here: every layer is a power of two
            "rates": ({"fc2": 0.25}, SOURCES | {"random"}),
            "relative": ({"fc2": 0.5}, SOURCES | {"random"}),
            "only": ("fc1", SOURCES | {"random"}),
            "prune_output": (True, SOURCES | {"random"}),
            "criterion": ("score.py:score", SOURCES),
            "rewind": ("2ep", SOURCES),
            "evaluate": ([1, 3], NOTHING),
        },
    ),
    EmbeddedData: (
        "dataset.",  # of both sources
        {
            "name": ("mnist", ALL),
            "classes": ([9, 8, 0], ALL),
            "split": ({"groups": 2}, ALL),
            "half": ("a", ALL),
            "per_class": (50, ALL),
            "resize": (12, ALL),
            "crop": (6, ALL),
            "channels": (3, ALL),
            "validation": (40, ALL),
            "normalized": (False, ALL),
        },
    ),
    TicketKind: (
        "tickets.2.",
        {
            "name": ("another", NOTHING),
            "mask": ("permuted-globally", {"shuffled"}),
            "weights": ("kept", {"shuffled"}),
            "start": ("2ep", {"shuffled"}),
            "head": ("redraw", {"shuffled"}),
            "draws": (2, NOTHING),  # the first draw is the one that there was
        },
    ),
}
ADAM = {"lr": (0.2, ALL), "betas": ([0.8, 0.999], ALL), "weight_decay": (0, ALL)}
CASES = [(prefix + name, *case) for prefix, cases in FIELDS.values() for name, case in cases.items()]
CASES.append(("model", "lenet-16-9", ALL))  # common to all sources and targets here


def changed(path: str, value: Any, base: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = copy.deepcopy(base)
    *above, last = path.split(".")
    for part in document["sources"] if above[:1] == ["dataset"] else [document]:
        node = part
        for key in above:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        if path == "training.augment.flip":
            node["crop"] = 1  # the default of the digits stays
        if path == "training.optimizer.name":
            node.clear()
        if path == "prune.fractions":
            del node["rate"], node["rounds"]
        node[last] = value
    return document


def results(document: dict[str, Any], folder: Path) -> dict[tuple[Any, ...], str]:
    """Key by (what it is, where from, where to, round, seed), masks among them."""
    (folder / "score.py").write_text("def score(trained, initial, mask):\n    return trained\n")
    file = folder / "grid.yaml"
    file.write_text(yaml.safe_dump(document))
    found: dict[tuple[Any, ...], str] = {}
    for point in expand(load(file), folder).points:
        if point.draw:
            continue
        kind = {"another": "shuffled"}.get(point.ticket, point.ticket)
        if kind == "winning":
            kind = OWN if point.source == point.target else OTHER
        found[kind, point.source, point.target, point.round, point.seed] = point.stage
        if point.mask is not None:
            found["mask", point.source, point.round, point.seed] = point.mask
    return found


def check(path: str, value: Any, affected: set[str], base: dict[str, Any], folder: Path) -> None:
    before, after = results(base, folder), results(changed(path, value, base), folder)
    if path == "seeds":
        assert not before.keys() & after.keys() and not set(before.values()) & set(after.values())
        return
    common = before.keys() & after.keys()
    others = {which for which in common if before[which] != after[which]}
    assert common
    assert {which[0] for which in others} == affected & {which[0] for which in common}
    if affected == ALL:
        assert not set(before.values()) & set(after.values())


def test_every_field_is_here() -> None:
    """A field that is new needs a line above: what may it change?"""
    listed = {kind.__name__: set(cases) for kind, (_, cases) in FIELDS.items()}
    listed["Prune"].add("units")  # of another model: test_pruning_other_units_has_other_keys
    listed["Prune"].add("include")  # of a user's model: experiment/test_users_models.py
    listed["Training"].add("frozen")  # of targets: test_freezing_a_target_changes_what_is_trained_on_it
    for kind, needs_another in (("LrDecay", "to"), ("Augment", "window"), ("EmbeddedData", "margin")):
        listed[kind].add(needs_another)  # test_fields_that_need_others_change_keys_too
    assert listed == {kind.__name__: set(kind.model_fields) for kind in FIELDS}
    assert {"name", *ADAM} == set(OPTIMIZERS["adam"].model_fields)


@pytest.mark.parametrize(("path", "value", "affected"), CASES, ids=[path for path, _, _ in CASES])
def test_a_field_changes_the_keys_of_what_it_can_change(
    path: str, value: Any, affected: set[str], tmp_path: Path
) -> None:
    check(path, value, affected, BASE, tmp_path)


def test_pruning_other_units_has_other_keys(tmp_path: Path) -> None:
    base = BASE | {"model": "perceptron-8", "tickets": BASE["tickets"][:1], "prune": {"units": 2, "rounds": 3}}
    for side, classes in zip(base["sources"], ([0, 1], [4, 5]), strict=True):
        base = base | {"sources": [*base["sources"], {**side, "dataset": {"name": "digits", "classes": classes}}][1:]}
    check("prune.units", 1, SOURCES, base, tmp_path)
    check("prune.criterion", "input-magnitude", SOURCES, base, tmp_path)
    check("model", {"name": "perceptron", "hidden": 8, "networks": 10}, ALL, base, tmp_path)
    small = {"name": "perceptron", "hidden": 8, "initialization": {"name": "truncated-normal", "std": 0.2}}
    check("model", small, ALL, base, tmp_path)


def test_freezing_a_target_changes_what_is_trained_on_it(tmp_path: Path) -> None:
    """The chain trains everything: a winning ticket on its own source is no longer the chain's next round."""
    before, after = results(BASE | {"targets": BASE["sources"]}, tmp_path), {}
    frozen = [{**side, "training": {"frozen": "features"}} for side in BASE["sources"]]
    after = results(BASE | {"targets": frozen}, tmp_path)
    assert {which for which in before if before[which] == after[which]} == {w for w in before if w[0] == "mask"}


def test_another_head_on_a_target_changes_what_is_trained_on_it(tmp_path: Path) -> None:
    base = BASE | {"model": {"name": "convnet", "width": 4}}
    before = results(base | {"targets": BASE["sources"]}, tmp_path)
    other = [{**side, "model": {"head": [5]}} for side in BASE["sources"]]
    after = results(base | {"targets": other}, tmp_path)
    assert {which for which in before if before[which] == after[which]} == {w for w in before if w[0] == "mask"}


@pytest.mark.parametrize("which", ["to", "margin", "window"])
def test_fields_that_need_others_change_keys_too(which: str, tmp_path: Path) -> None:
    cropped = changed("dataset.crop", 6, BASE)
    with_margin = changed("dataset.margin", 1, cropped)
    path, value, base = {
        "to": ("training.lr_decay", {"at": ["5ep"], "to": [0.02], "factor": None}, BASE),
        "margin": ("dataset.margin", 1, cropped),
        "window": ("training.augment", {"crop": 1, "window": True}, with_margin),
    }[which]
    check(path, value, ALL, base, tmp_path)


@pytest.mark.parametrize("name", ADAM)
def test_so_do_the_fields_of_adam(name: str, tmp_path: Path) -> None:
    base = changed("training.optimizer", {"name": "adam", "lr": 0.1}, BASE)
    check(f"training.optimizer.{name}", *ADAM[name], base, tmp_path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("dataset.resize", 8),
        ("dataset.crop", 8),
        ("dataset.channels", 1),
        ("training.length", "5ep50it"),
        ("training.record_every", "10it"),
        ("training.norm_batch", 64),
        ("training.lr_decay.at", ["5ep", "50it"]),
        ("training.optimizer.nesterov", False),
        ("prune.rewind", "10it"),
        ("prune.rates", {"fc*": 0.5}),
        ("tickets.0.start", "10it"),
        ("tickets.0.head", "auto"),
        ("prune.relative", {"fc*": 1.0}),
        ("prune.only", ["fc*"]),
        ("model", {"name": "lenet", "hidden": [16, 8], "initialization": "xavier-normal"}),
    ],
)
def test_the_same_thing_written_otherwise_has_the_same_keys(path: str, value: Any, tmp_path: Path) -> None:
    check(path, value, NOTHING, BASE, tmp_path)


def test_rewinding_to_the_end_is_rewinding_to_final(tmp_path: Path) -> None:
    end, final = (results(changed("prune.rewind", moment, BASE), tmp_path) for moment in ("10ep", "final"))
    assert end == final


@pytest.mark.parametrize("diagonal", ["share", "retrain"])
def test_at_round_zero_a_ticket_and_its_controls_are_one_network(diagonal: str, tmp_path: Path) -> None:
    """There is nothing to permute yet. On its own source it is the dense network, unless its head is redrawn there."""
    base = changed("tickets.2.weights", "kept", BASE) | {"diagonal": diagonal}
    found = results(changed("prune.evaluate", [0], base), tmp_path)
    for source, target in (("low", "low"), ("low", "high")):
        winning = found[OWN if source == target else OTHER, source, target, 0, 0]
        assert winning == found["shuffled", source, target, 0, 0]
        dense = found["dense", "any", target, 0, 0]
        assert (winning == dense) == (source == target and diagonal == "share")


@pytest.mark.parametrize("rewind", ["0it", "1ep", "none"])
def test_no_two_stages_compute_the_same(rewind: str, tmp_path: Path, unheard: Listener) -> None:
    """Nothing is trained twice under two keys: all nine controls and all starts end with weights of their own."""
    kinds = itertools.product(
        ("preserved", "permuted-within-layers", "permuted-globally"), ("kept", "redrawn", "shuffled")
    )
    tickets: list[dict[str, Any]] = [{"name": f"{m}-{w}", "mask": m, "weights": w} for m, w in kinds]
    tickets += [
        {"name": f"from-{start}", "start": start} for start in ("0it", "1ep", "3ep", "final", "trained", "redrawn")
    ]
    tickets += [{"name": "redrawn-head", "head": "redraw"}]
    optimizer = {"name": "sgd", "lr": 0.1, "momentum": 0.9}
    document = BASE | {
        "seeds": [0],
        "training": {"optimizer": optimizer, "batch_size": 64, "length": "3ep"},
        "prune": {"rate": 0.5, "rounds": 2, "rewind": rewind, "evaluate": [0, 1, 2]},
        "tickets": tickets,
        "retention": {"chains": "weights", "evaluations": "weights"},
    }
    file = tmp_path / "grid.yaml"
    file.write_text(yaml.safe_dump(document))
    grid = expand(load(file), tmp_path)
    store = str(tmp_path / "store")
    assert run(grid, RunOptions(store, tmp_path, local=True), unheard).exit_code == 0
    snapshot = Store(store).snapshot()
    found: dict[str, list[str]] = {}
    for key, stage in grid.stages.items():
        record = snapshot.record(key)
        assert record is not None
        outputs = record["outputs"]
        found.setdefault(outputs["mask" if stage.kind == "prune" else "final"]["sha256"], []).append(stage.label)
    # Known: the initialization at places drawn from the count alone is one network whatever the source.
    same = [labels for labels in found.values() if len(labels) > 1]
    assert not [labels for labels in same if rewind != "0it" or "permuted-globally-kept" not in labels[0]]
