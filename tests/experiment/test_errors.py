"""Mistakes in a grid: each one a sentence with file, line, key and the nearest valid name."""

from pathlib import Path

import pytest

from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load

A = "{dataset: {name: digits, half: a}}"

# ruff: noqa: E501 - one line a mistake
MISTAKES = [
    ("batch_size: 64", "batchsize: 64", "grid.yaml:6: training.batchsize: unknown key. Did you mean 'batch_size'?"),
    ("batch_size: 64", "batch_size: yes", "grid.yaml:6: training.batch_size: should be a valid integer, not True."),
    ("batch_size: 64", "batch_size: 0", "grid.yaml:6: training.batch_size: should be greater than 0, not 0."),
    ("lr: 0.1", "lr: .nan", "grid.yaml:5: training.optimizer.lr: should be a finite number"),
    ("lr: 0.1", "lr: '0.1'", "grid.yaml:5: training.optimizer.lr: should be a valid number, not '0.1'."),
    ("name: sgd", "name: sdg", "'sdg' is not valid; known: sgd, adam. Did you mean 'sgd'?"),
    ("length: 10ep", "length: 10", "grid.yaml:7: training.length: needs a unit: write 10ep for epochs"),
    ("  length: 10ep\n", "", "grid.yaml:4: training.length: is missing."),
    ("lenet-20-10", "lenett", "grid.yaml:2: model: 'lenett' is not valid; known: lenet, perceptron, linear, convnet, cifarnet, vgg19, resnet50, resnet18, resnet20 or your own"),
    ("lenet-20-10", "{name: lenet, width: 3}", "grid.yaml:2: model.width: unknown key. Valid: hidden, initialization, name."),
    ("lenet-20-10", "models.py:Net", "grid.yaml:2: model: there is no file"),
    ("half: a", "half: c", "grid.yaml:10: sources.0.dataset.half: 'c' is not valid; known: a, b."),
    ("half: a", "haf: a", "grid.yaml:10: sources.0.dataset.haf: unknown key. Did you mean 'half'?"),
    ("name: digits, half: a", "name: digit", "grid.yaml:10: sources.0.dataset.name: 'digit' is not valid"),
    ("{name: digits, half: a}", "cifar11", "is not valid; known: digits, xor, mnist, fashion_mnist, svhn, cifar10, cifar100"),
    ("half: a", "classes: [0, 11]", "grid.yaml:10: sources.0.dataset.classes.1: there is no class 11: labels are 0 to 9."),
    ("half: a", "classes: [1, 1]", "grid.yaml:10: sources.0.dataset.classes: a class is given twice."),
    ("half: a", "per_class: 900", "sources.0.dataset.per_class: there are only 140 training images of a class."),
    ("half: a", "crop: 9", "sources.0.dataset.crop: does not fit into images of 8x8: resize first."),
    ("half: a", "split: {groups: 2, part: 2}", "sources.0.dataset.split.part: part 2 does not exist"),
    ("half: a", "half: b", "grid.yaml:11: sources.1: the name 'digits-b' is given twice"),
    ("targets: same", "targets: [{dataset: digits, model: convnet}]", "grid.yaml:2: model: no target has"),
    (A, "{dataset: digits, name: any}", "grid.yaml:10: sources.0.name: 'any' has a meaning of its own"),
    (A, "{dataset: mnist}", "fc1.weight is 20x784 there and 20x64 here"),
    (A, "{dataset: {name: parquet, path: none}}", "grid.yaml:10: sources.0.dataset.path: there is no folder"),
    (A, "{dataset: digits, grid: {training.lr: [1]}}", "grid.yaml:10: sources.0.grid.training.lr: unknown key."),
    (A, "{dataset: digits, grid: {prune.rate: 1}}", "sources.0.grid.prune.rate: should map fields to lists"),
    ("rounds: 3", "rounds: 3, evaluate: [1, 4]", "prune.evaluate.1: round 4 does not exist: there are rounds 0 to 3."),
    ("rounds: 3", "rounds: 3, rewind: 11ep", "grid.yaml:8: prune.rewind: 11ep (iteration 132) is after the end of training"),
    ("rounds: 3", "rounds: 3, rewind: finl", "Did you mean 'final'?"),
    ("rounds: 3", "rounds: 3, fractions: [0.5]", "grid.yaml:8: prune.rate: cannot go with fractions"),
    ("rate: 0.5, rounds: 3", "fractions: [0.5, 0.5]", "prune.fractions: should increase"),
    ("rate: 0.5, rounds: 3", "fractions: [0.5, 0.99999]", "round 2 leaves none of the 1,480 prunable weights."),
    ("rate: 0.5, rounds: 3", "rate: 0.5", "prune.rounds: is missing"),
    ("rate: 0.5", "rate: 1.5", "grid.yaml:8: prune.rate: should be less than 1, not 1.5."),
    ("rounds: 3", "rounds: 3, rates: {fc1: 0.1}", "prune.rates: rates by layer need scope: layerwise."),
    ("rounds: 3", "rounds: 3, scope: layerwise, rates: {fc9: 0.1}", "there is no prunable layer 'fc9'."),
    ("rounds: 3", "rounds: 3, criterion: magnitud", "Did you mean 'magnitude'?"),
    ("seeds: [0, 1]", "seeds: [0, 0]", "grid.yaml:3: seeds.1: the seed 0 is given twice."),
    ("seeds: [0, 1]", "seeds: []", "grid.yaml:3: seeds: should not be empty."),
    ("seeds: [0, 1]", "seeds: -1", "grid.yaml:3: seeds: -1 seeds: give how many"),
    ("[winning, random]", "[winning, randm]", "grid.yaml:13: tickets.1: unknown ticket 'randm'. Did you mean 'random'?"),
    ("[winning, random]", "[winning, winning]", "grid.yaml:13: tickets.1: the name 'winning' is given twice"),
    ("[winning, random]", "[{name: x, mask: permuted}]", "Did you mean 'permuted-globally'?"),
    ("[winning, random]", "[{name: x, start: 1ep, weights: redrawn}]", "redrawn weights start from nothing"),
    ("[winning, random]", "[{name: x, start: 99ep}]", "grid.yaml:13: tickets.0.start: 99ep (iteration 1,188) is after"),
    ("[winning, random]", "[{name: x, start: early}]", "or one of final, early-stop, trained, redrawn, not 'early'."),
    ("[winning, random]", "[{name: x, start: early-stop}]", "grid.yaml:13: tickets.0.start: source 'digits-a' has no validation loss to stop at: hold training images out (its dataset: {validation: 5000}), or use start: final."),
    ("targets: same", "targets: sme", "grid.yaml:12: targets: should be same, or a list of targets, not 'sme'."),
    ("targets: same", "targets: [{dataset: digits, prune: {rate: 0.1}}]", "a target has no prune."),
    ("targets: same", "targets: same\npairs: {only: [[digits-a, digit]]}", "there is no target 'digit'."),
    ("targets: same", "resources: {workers: 2, gpus_per_worker: 0.5}", "grid.yaml:12: resources.gpus_per_worker: a fraction"),
    ("targets: same", "resources: {workers: 3}", "grid.yaml:12: resources.workers: does not divide the batch size of 64."),
    ("length: 10ep", "length: 10ep\n  lr_decay: {at: [11ep]}", "grid.yaml:8: training.lr_decay.at.0: 11ep (iteration 132) is not"),
    ("length: 10ep", "length: 10ep\n  norm_batch: 48", "training.norm_batch: should divide the batch size of 64."),
    ("name: small", "name: ../small", "grid.yaml:1: name: '../small' should begin with a letter or digit"),
    ("name: small", "nme: small", "grid.yaml:1: nme: unknown key. Did you mean 'name'?"),
    ("name: small", "name: small\nname: again", "grid.yaml:2: name: the key is given twice (first in line 1)."),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES, ids=[new[:40] for _, new, _ in MISTAKES])
def test_a_mistake_is_told_with_its_place(tmp_path: Path, small: str, old: str, new: str, message: str) -> None:
    assert old in small
    file = tmp_path / "grid.yaml"
    file.write_text(small.replace(old, new, 1))
    with pytest.raises(UserError) as refused:
        expand(load(file), tmp_path)
    assert message in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path))


def test_a_mistake_in_common_settings_is_told_once_and_several_mistakes_all(tmp_path: Path, small: str) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(small.replace("batch_size", "batchsize").replace("scope", "scop").replace("model: ", "modl: "))
    with pytest.raises(UserError) as refused:
        load(file)
    lines = str(refused.value).splitlines()
    assert [line.removeprefix(str(file)).split(": ")[0] for line in lines] == [":1", ":2", ":6"]


def test_early_stopping_needs_several_validation_losses_of_one_network(tmp_path: Path, small: str) -> None:
    file = tmp_path / "grid.yaml"
    text = small.replace("[winning, random]", "[winning, {name: x, start: early-stop}]")
    text = text.replace("half: a", "half: a, validation: 100").replace("half: b", "half: b, validation: 100")
    file.write_text(text)
    assert expand(load(file), tmp_path)
    at_the_end = text.replace("  - dataset", "  - training: {record_every: 10ep}\n    dataset")
    file.write_text(at_the_end)
    words = "source 'digits-b' has one validation loss, that of its end after 100 iterations: record more often"
    with pytest.raises(
        UserError, match=rf"grid.yaml:14: tickets.1.start: {words} \(its training: {{record_every: ...}}\)"
    ):
        expand(load(file), tmp_path)
    file.write_text(at_the_end + "pairs: {only: [[digits-a, digits-b]]}\n")
    assert expand(load(file), tmp_path), "a target needs no validation images, nor a source whose tickets go nowhere"
    many = text.replace("lenet-20-10", "perceptron-20").replace("rate: 0.5, rounds: 3", "units: 2, rounds: 3")
    two = "name: digits, classes: [1, 2], validation: 100}"
    many = many.replace("name: digits, half: a, validation: 100}", two).replace(
        "  - dataset", "  - name: b\n    dataset"
    )
    file.write_text(many.replace("name: digits, half: b, validation: 100}", two))
    with pytest.raises(
        UserError, match="start: the networks of 'digits' are trained as one, and each has its smallest"
    ):
        expand(load(file), tmp_path)


def test_impossible_combinations_of_head_and_classes(tmp_path: Path, small: str) -> None:
    file = tmp_path / "grid.yaml"
    two = small.replace("half: b", "classes: [1, 2]").replace("  - dataset", "  - name: two\n    dataset")
    file.write_text(two + "head: keep\n")
    with pytest.raises(UserError, match=r"grid.yaml:15: head: a head for the 10 classes of 'digits-a' cannot be kept"):
        expand(load(file), tmp_path)
    file.write_text(two.replace("rounds: 3", "rounds: 3, prune_output: true"))
    with pytest.raises(UserError, match=r"grid.yaml:8: prune.prune_output: a pruned output layer of 10 classes"):
        expand(load(file), tmp_path)


def test_the_remainder_of_nothing_is_refused(tmp_path: Path, small: str) -> None:
    file = tmp_path / "grid.yaml"
    text = small.replace("length: 10ep", "length: 10ep\n  after_rewind: remainder")
    for rewind in ("final", "10ep"):
        file.write_text(text.replace("rounds: 3", f"rounds: 3, rewind: {rewind}"))
        with pytest.raises(UserError, match="remainder"):
            expand(load(file), tmp_path)
