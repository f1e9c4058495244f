"""Training: tickets stay sparse, runs are paired and reproducible, metrics and captured weights are what they say."""

import itertools
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.lottery.batch_norm import group_batch_norm
from pipeline.lottery.batches import TestBatches
from pipeline.lottery.data import Images, load
from pipeline.lottery.determinism import deterministic
from pipeline.lottery.evaluation import evaluate
from pipeline.lottery.history import Record, RunningMetrics
from pipeline.lottery.hooks import Hooks
from pipeline.lottery.normalization import Normalization
from pipeline.lottery.run import Run
from pipeline.lottery.training import Trained, train
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.training import Train

MASK = {"stage": "0" * 64, "output": "mask"}
WEIGHTS = {"stage": "0" * 64, "output": "it0"}

FIELDS: dict[str, Any] = {
    "kind": "train",
    "recipe": 1,
    "model": {"name": "lenet", "hidden": [32, 16]},
    "input": [1, 8, 8],
    "classes": 10,
    "data": {"name": "digits"},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "batch_size": 128,
    "iterations": 24,
    "record_every": 12,  # an epoch of 1,442 images
    "seed": 0,
    "round": 0,
}
MOMENTUM = {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2}
NESTEROV = MOMENTUM | {"nesterov": True}
ADAM = {"name": "adam", "lr": 1e-2, "weight_decay": 1e-2}
CONVNET = {"model": {"name": "convnet", "width": 4}}
CPU = torch.device("cpu")


def resident(pixels: object) -> Tensor:
    """Of a small set: all in memory."""
    assert isinstance(pixels, Tensor)
    return pixels


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def images() -> Images:
    return load(DataSet("digits"), Path())


def fields(**changes: Any) -> dict[str, Any]:
    return FIELDS | changes


def recipe(**changes: Any) -> Train:
    return Train.from_fields(FIELDS | changes)


def ticket() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"fc1.weight": (32, 64), "fc2.weight": (16, 32)}
    return {name: torch.rand(shape, generator=generator) < 0.2 for name, shape in shapes.items()}


def begin(fields: dict[str, Any], images: Images, **inputs: dict[str, Tensor]) -> Run:
    return Run(Train.from_fields(fields), inputs, images, CPU, None)


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def final(trained: Trained) -> dict[str, Tensor]:
    assert trained.final is not None
    return trained.final


# Learning


def test_the_loss_goes_down_and_digits_are_learned(images: Images) -> None:
    trained = train(recipe(iterations=72, optimizer=MOMENTUM | {"weight_decay": 1e-4}), {}, images)
    losses = [loss for record in trained.history if (loss := record["train_loss"]) is not None]
    assert trained.status == "ok" and len(losses) == len(trained.history)
    assert losses == sorted(losses, reverse=True)
    assert trained.summary["test_accuracy"] > 0.9


def test_mnist_is_learned_from_its_real_files(data_root: Path) -> None:
    data = {"name": "mnist", "per_class": 200}
    trained = train(
        recipe(model={"name": "lenet", "hidden": [64]}, input=[1, 28, 28], data=data, iterations=64),
        {},
        load(DataSet.from_fields(data), data_root),
    )
    assert trained.summary["test_accuracy"] > 0.8


@pytest.mark.parametrize("optimizer", [FIELDS["optimizer"], MOMENTUM, NESTEROV, ADAM], ids=str)
def test_the_run_equals_a_plain_loop(optimizer: dict[str, Any], images: Images) -> None:
    """Masks, fused steps, gathering and folded normalization change nothing but the last bits."""
    mask = ticket()
    run = begin(fields(start={"mask": MASK}, optimizer=optimizer), images, mask=mask)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10))
    for parameter, start in zip(model.parameters(), run.model.parameters(), strict=True):
        parameter.data.copy_(start.data)
    options = {name: value for name, value in optimizer.items() if name != "name"}
    plain = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer["name"]](
        model.parameters(), foreach=False, fused=False, **options
    )
    pixels = (resident(images.train_x).float() / 255 - images.mean.view(-1, 1, 1)) / images.std.view(-1, 1, 1)
    for iteration in range(20):
        run.step()
        chosen = run.feeds.train._order
        batch = chosen[(iteration % 12) * 128 : (iteration % 12 + 1) * 128]
        plain.zero_grad()
        F.cross_entropy(model(pixels[batch]), images.train_y[batch]).backward()
        plain.step()
        for layer, kept in zip((model[1], model[3]), mask.values(), strict=True):
            layer.get_parameter("weight").data *= kept
    for parameter, ours in zip(model.parameters(), run.model.parameters(), strict=True):
        torch.testing.assert_close(ours.data, parameter.data, rtol=1e-3, atol=1e-4)


# Tickets


@pytest.mark.parametrize("optimizer", [MOMENTUM, NESTEROV, ADAM], ids=str)
def test_pruned_weights_are_zero_at_every_step(optimizer: dict[str, Any], images: Images) -> None:
    mask = ticket()
    weights = final(train(recipe(iterations=12), {}, images))
    run = begin(
        fields(start={"mask": MASK, "weights": WEIGHTS}, optimizer=optimizer), images, mask=mask, weights=weights
    )
    parameters = dict(run.model.named_parameters())
    before = {name: parameters[name].detach().clone() for name in mask}
    for _ in range(24):
        for name, kept in mask.items():
            assert not parameters[name][~kept].any(), f"{name} before iteration {run.iteration}"
        run.step()
    for name, kept in mask.items():
        assert not parameters[name][~kept].any()
        assert (parameters[name] != before[name])[kept].float().mean() > 0.9, "survivors must learn"
        moving = max(state[~kept].abs().max() for state in run.optimizer.state[parameters[name]].values() if state.ndim)
        assert moving > 0, "nothing would have moved the pruned weights: the test shows nothing"


def test_the_weights_of_a_ticket_are_not_trained_along(images: Images) -> None:
    source = train(recipe(), {}, images, capture=frozenset({5}))
    weights = source.captured[5]
    before = {name: value.clone() for name, value in weights.items()}
    train(recipe(start={"weights": WEIGHTS, "mask": MASK}, round=1), {"mask": ticket(), "weights": weights}, images)
    assert_equal(weights, before)


def test_survivors_are_reported_by_layer(images: Images) -> None:
    dense = train(recipe(iterations=1), {}, images).summary
    total = {"fc1.weight": 2048, "fc2.weight": 512}
    assert (dense["survivors"], dense["total"], dense["fraction_pruned"]) == (total, total, 0.0)

    mask = ticket()
    sparse = train(recipe(iterations=1, start={"mask": MASK}), {"mask": mask}, images).summary
    survivors = {name: int(kept.sum()) for name, kept in mask.items()}
    assert (sparse["survivors"], sparse["total"]) == (survivors, total)
    assert sparse["fraction_pruned"] == pytest.approx(1 - sum(survivors.values()) / 2560)

    output = {"head.weight": torch.ones(10, 16, dtype=torch.bool)}
    whole = train(recipe(iterations=1, start={"mask": MASK, "prunes_output": True}), {"mask": mask | output}, images)
    assert whole.summary["total"] == total | {"head.weight": 160}


# Captured weights


def test_captured_weights_are_those_after_so_many_steps_bit_for_bit(images: Images) -> None:
    wanted = frozenset({0, 1, 12, 17, 24})
    trained = train(recipe(**CONVNET, optimizer=MOMENTUM), {}, images, capture=wanted)
    assert trained.captured.keys() == wanted
    run = begin(fields(**CONVNET, optimizer=MOMENTUM), images)
    for iteration in range(25):
        if iteration in wanted:
            assert_equal(trained.captured[iteration], dict(run.model.state_dict()))
        if iteration < 24:
            run.step()
            if run.iteration % 12 == 0:
                run.record()
    assert_equal(trained.captured[24], final(trained))


def test_captured_weights_share_no_memory_with_anything(images: Images) -> None:
    trained = train(recipe(), {}, images, capture=frozenset({0, 24}))
    states = [final(trained), *trained.captured.values()]
    addresses = [tensor.data_ptr() for state in states for tensor in state.values()]
    assert len(set(addresses)) == len(addresses)
    assert not torch.equal(trained.captured[0]["fc1.weight"], trained.captured[24]["fc1.weight"])


# Pairing and reproducibility


def order(fields: dict[str, Any], images: Images, iterations: int = 12, **inputs: dict[str, Tensor]) -> list[Tensor]:
    """The images of the first iterations, as the model gets them."""
    batches = begin(fields, images, **inputs).feeds.train
    return [batches.at(iteration)[0] for iteration in range(iterations)]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_tickets_of_one_round_see_the_same_images_augmented_alike(images: Images) -> None:
    paired = fields(augment={"flip": True, "crop": 2})
    dense = order(paired, images)
    assert same(dense, order(paired | {"start": {"mask": MASK}}, images, mask=ticket()))
    assert same(dense, order(paired | {"optimizer": ADAM, "model": {"name": "convnet", "width": 2}}, images))
    for change in ({"seed": 1}, {"round": 1}, {"data": {"name": "digits", "half": "a"}}):
        assert not same(dense, order(paired | change, images))


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own(images: Images) -> None:
    batches = begin(FIELDS, images).feeds.train
    assert batches.per_epoch == 12
    epochs = [[batches.at(epoch * 12 + step) for step in range(12)] for epoch in range(2)]
    assert [len(labels) for _, labels in epochs[0]] == [128] * 11 + [len(images.train_y) - 11 * 128]
    normalized = Normalization(images.mean, images.std, CPU)(resident(images.train_x)).flatten(1)
    everything = normalized.sort(0).values
    orders = [torch.cat([pixels for pixels, _ in epoch]).flatten(1) for epoch in epochs]
    for shown in orders:
        assert torch.equal(shown.sort(0).values, everything)
        assert not torch.equal(shown, normalized), "shuffled"
    assert not torch.equal(orders[0], orders[1])
    labels = torch.cat([labels for _, labels in epochs[0]])
    found = (orders[0][:50, None] == normalized[None]).all(2).float().argmax(1)
    assert torch.equal(images.train_y[found], labels[:50]), "labels follow their images"


def test_augmentation_is_drawn_anew_for_every_epoch(images: Images) -> None:
    batches = begin(fields(augment={"crop": 2}), images).feeds.train
    batches.at(0)
    first = batches._draws.corner
    batches.at(12)
    second = batches._draws.corner
    assert first is not None and second is not None and not torch.equal(first, second)


def test_the_same_fields_give_the_same_bits_whatever_was_drawn_before(images: Images) -> None:
    augmented = fields(**CONVNET, augment={"flip": True, "crop": 1}, optimizer=ADAM)
    torch.manual_seed(1)
    one = train(Train.from_fields(augmented), {}, images)
    torch.manual_seed(2)
    torch.rand(5)
    untouched = torch.get_rng_state()
    other = train(Train.from_fields(augmented), {}, images)
    assert_equal(final(one), final(other))
    assert one.history == other.history
    assert torch.equal(torch.get_rng_state(), untouched), "the surroundings' generator is left as it was"


def test_the_remainder_begins_in_the_middle_of_schedule_and_order(images: Images) -> None:
    whole = fields(lr_decay={"at": [6, 20], "factor": 0.1})
    captured = train(Train.from_fields(whole), {}, images, capture=frozenset({15})).captured[15]
    seen: list[Record] = []
    rest = train(
        Train.from_fields(whole | {"first_iteration": 15, "start": {"weights": WEIGHTS}}),
        {"weights": captured},
        images,
        capture=frozenset({15}),
        hooks=Hooks(progress=lambda iteration, record: seen.append(record) if record else None),
    )
    assert_equal(rest.captured[15], captured)
    assert_equal(final(rest), final(train(Train.from_fields(whole), {}, images)))  # plain SGD has no state of its own
    (record,) = seen
    assert record["iteration"] == 24 and record["lr"] == pytest.approx(0.001)


def test_deterministic_fixes_threads_and_algorithms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        deterministic()
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.backends.cudnn.benchmark and torch.backends.cudnn.deterministic
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        backends: Any = torch.backends  # whose types lack the newer settings
        assert backends.cuda.matmul.fp32_precision == backends.cudnn.conv.fp32_precision == "tf32"
        assert backends.mkldnn.matmul.fp32_precision != "tf32", "the CPU's own float32 stays what it is"
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False


# Metrics


def test_records_come_at_multiples_and_at_the_end(images: Images) -> None:
    seen: list[tuple[int, Record | None]] = []
    hooks = Hooks(progress=lambda iteration, record: seen.append((iteration, record)))
    trained = train(
        recipe(iterations=17, record_every=5, lr_decay={"at": [10, 12], "factor": 0.5}), {}, images, hooks=hooks
    )
    assert [record["iteration"] for record in trained.history] == [5, 10, 15, 17]
    assert [record["epoch"] for record in trained.history] == [5 / 12, 10 / 12, 15 / 12, 17 / 12]
    assert [record["lr"] for record in trained.history] == [0.1, 0.1, 0.025, 0.025]
    assert [record for _, record in seen if record] == trained.history
    assert set(trained.history[-1]) == {
        "iteration", "epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "lr"
    }  # fmt: skip
    for name in ("test_accuracy", "test_loss", "train_accuracy", "train_loss"):
        assert trained.summary[name] == trained.history[-1][name]
    assert trained.summary["iterations"] == 17


def test_training_metrics_are_means_over_the_images_since_the_last_record(images: Images) -> None:
    trained = train(recipe(iterations=36), {}, images)
    run = begin(FIELDS, images)
    losses, right, sizes = [], [], []
    for iteration in range(36):
        pixels, labels = run.feeds.train.at(iteration)
        with torch.no_grad():
            outputs = run.model(pixels)
        losses.append(F.cross_entropy(outputs, labels).item() * len(labels))
        right.append(int((outputs.argmax(1) == labels).sum()))
        sizes.append(len(labels))
        run.step()
    for number, record in enumerate(trained.history):
        part = slice(12 * number, 12 * (number + 1))
        assert record["train_loss"] == pytest.approx(sum(losses[part]) / sum(sizes[part]), rel=1e-6)
        assert record["train_accuracy"] == sum(right[part]) / sum(sizes[part])


def test_running_metrics_may_be_asked_at_any_time() -> None:
    generator = torch.Generator().manual_seed(0)
    metrics, right = RunningMetrics(CPU), 0
    for batch in range(40):
        outputs, labels = torch.randn(7, 3, generator=generator), torch.randint(3, (7,), generator=generator)
        metrics.add(torch.tensor(0.5), outputs, labels)
        right += int((outputs.argmax(1) == labels).sum())
        if batch % 3 == 0:
            assert metrics.correct.item() == right
    assert metrics.mean() == (0.5, right / 280)
    metrics.clear()
    assert (metrics.seen, metrics.correct.item(), metrics.loss.item()) == (0, 0, 0.0)


def test_progress_is_reported_between_records_but_not_at_every_iteration(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(step=0.1)
    monkeypatch.setattr("pipeline.lottery.training.time.monotonic", lambda: next(clock))
    seen: list[int] = []
    hooks = Hooks(progress=lambda iteration, record: seen.append(iteration))
    train(recipe(record_every=24), {}, images, hooks=hooks)
    assert 2 < len(seen) < 8 and seen[-1] == 24 and len(set(seen)) == len(seen)


@pytest.mark.parametrize("optimizer", [{"name": "sgd", "lr": 1e20}, ADAM | {"lr": 1e30}], ids=str)
def test_a_diverged_run_is_a_result_without_final_weights(optimizer: dict[str, Any], images: Images) -> None:
    trained = train(recipe(optimizer=optimizer, iterations=48), {}, images, capture=frozenset({0}))
    assert trained.status == "diverged"
    assert trained.final is None
    assert trained.captured.keys() == {0}
    assert trained.summary["iterations"] == trained.history[-1]["iteration"] and trained.summary["iterations"] < 48
    assert None in (trained.history[-1]["train_loss"], trained.history[-1]["test_loss"])
    assert 0 <= trained.summary["test_accuracy"] <= 1


# Evaluation


def test_evaluation_leaves_the_model_in_the_mode_and_state_it_found(images: Images) -> None:
    run = begin(fields(**CONVNET), images)
    run.step()
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.record()
    assert all(module.training for module in run.model.modules())
    assert_equal(dict(run.model.state_dict()), before)
    run.model.eval()
    evaluate(run.model, run.feeds.test, run.precision, CPU)
    assert not run.model.training


def test_evaluation_puts_the_mode_back_after_an_error(images: Images) -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("broken")

    model = Broken()
    run = begin(FIELDS, images)
    with pytest.raises(RuntimeError, match="broken"):
        evaluate(model, run.feeds.test, run.precision, CPU)
    assert model.training


def test_evaluation_is_over_the_whole_test_set_with_running_statistics(images: Images) -> None:
    run = begin(fields(**CONVNET), images)
    for _ in range(12):
        run.step()
    run.model.eval()
    with torch.no_grad():
        outputs = run.model(run.feeds.normalize(resident(images.test_x)))
    loss, accuracy = F.cross_entropy(outputs, images.test_y).item(), (outputs.argmax(1) == images.test_y).float().mean()
    for size in (100, 1000):
        measured = evaluate(run.model, TestBatches(images, run.feeds.normalize, CPU, size), run.precision, CPU)
        assert measured[0] == pytest.approx(loss, rel=1e-5) and measured[1] == pytest.approx(accuracy.item())


def test_normalized_training_images_have_mean_zero_and_deviation_one(images: Images) -> None:
    normalized = Normalization(images.mean, images.std, CPU)(resident(images.train_x))
    assert normalized.dtype == torch.float32
    assert normalized.mean().item() == pytest.approx(0, abs=1e-4)
    assert normalized.std().item() == pytest.approx(1, abs=1e-3)
    expected = (resident(images.train_x).float() / 255 - images.mean.view(-1, 1, 1)) / images.std.view(-1, 1, 1)
    torch.testing.assert_close(normalized, expected)


# Options


def test_batch_norm_in_groups_is_what_data_parallel_replicas_compute() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(22, 3, 5, 5, generator=generator) * 2 + 1
    grouped, plain = (nn.Sequential(nn.BatchNorm2d(3)) for _ in range(2))
    names = list(grouped.state_dict())
    group_batch_norm(grouped, 3)
    parts = batch.tensor_split(3)  # three devices: 8, 7 and 7 images
    first, *others = parts
    expected = [plain(first)]
    kept = {name: value.clone() for name, value in plain.state_dict().items()}  # the first replica's are kept
    expected += [plain(part) for part in others]
    torch.testing.assert_close(grouped(batch), torch.cat(expected))
    assert list(grouped.state_dict()) == names
    assert_equal(dict(grouped.state_dict()), kept)
    grouped.eval()
    plain.load_state_dict(kept)
    plain.eval()
    assert torch.equal(grouped(batch), plain(batch))


@pytest.mark.parametrize(("last", "groups"), [(200, [100, 100]), (96, [48, 48]), (41, [21, 20]), (3, [2, 1])])
def test_the_smaller_last_batch_has_as_many_groups_as_the_devices_are(
    last: int, groups: list[int], images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch 512 in groups of 256: two devices share the last one, however small; the first one's statistics stay."""
    run = Run(recipe(**CONVNET, batch_size=512, norm_batch=256), {}, images, torch.device("cpu"), None)
    norm = next(module for module in run.model.modules() if isinstance(module, nn.BatchNorm2d))
    seen: list[int] = []
    function = torch.nn.functional.batch_norm

    def counted(input: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        seen.append(len(input))
        return function(input, *arguments, **options)

    monkeypatch.setattr(torch.nn.functional, "batch_norm", counted)
    norm(torch.randn(last, norm.num_features, 2, 2))
    assert seen == groups


def test_groups_of_a_whole_batch_are_ordinary_batch_norm(images: Images) -> None:
    whole = train(recipe(**CONVNET), {}, images)
    assert_equal(final(train(recipe(**CONVNET, norm_batch=128), {}, images)), final(whole))
    assert not torch.equal(
        final(train(recipe(**CONVNET, norm_batch=64), {}, images))["conv1.weight"], final(whole)["conv1.weight"]
    )


@pytest.mark.parametrize("option", [{"channels_last": True}, {"precision": "bf16"}], ids=str)
def test_layout_and_precision_change_the_result_little(option: dict[str, Any], images: Images) -> None:
    plain = train(recipe(**CONVNET), {}, images)
    other = train(recipe(**CONVNET, **option), {}, images)
    assert other.summary["test_loss"] == pytest.approx(plain.summary["test_loss"], rel=0.02)
    assert all(value.is_contiguous() for value in final(other).values())
    assert all(value.dtype == final(plain)[name].dtype for name, value in final(other).items())


def test_a_compiled_network_keeps_its_names_and_trains_the_same(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With torch.compile's graphs, but without half a minute of C++: inductor itself is left out."""
    compiled: list[dict[str, Any]] = []
    compile = torch.compile

    def graphs_only(model: nn.Module, options: dict[str, Any], **more: Any) -> Any:
        compiled.append(options)
        return compile(model, backend="eager", **more)

    monkeypatch.setattr(torch, "compile", graphs_only)
    plain = train(recipe(**CONVNET), {}, images, capture=frozenset({5}))
    other = train(recipe(**CONVNET, compile=True), {}, images, capture=frozenset({5}))
    assert_equal(final(other), final(plain))
    assert_equal(other.captured[5], plain.captured[5])
    assert other.history == plain.history
    assert compiled == [{"deterministic": True}]


def test_a_ticket_is_evaluated_without_training(images: Images) -> None:
    """In one record, which is heard of; the weights stay those that it starts with."""
    heard: list[tuple[int, Record | None]] = []
    hooks = Hooks(progress=lambda iteration, record: heard.append((iteration, record)))
    nothing = fields(start={"mask": MASK}, iterations=0, record_every=0, optimizer=MOMENTUM)
    trained = train(Train.from_fields(nothing), {"mask": ticket()}, images, capture=frozenset({0}), hooks=hooks)
    started = begin(fields(start={"mask": MASK}), images, mask=ticket())
    assert trained.status == "ok" and heard == [(0, trained.history[0])]
    assert_equal(final(trained), dict(started.model.state_dict()))
    assert_equal(trained.captured[0], final(trained))
    (record,) = trained.history
    assert (record["train_loss"], record["train_accuracy"], record["lr"]) == (None, None, None)
    assert record["test_loss"] is not None and trained.summary["test_accuracy"] == record["test_accuracy"]
    assert trained.summary["iterations"] == 0


def test_weights_without_a_finite_loss_have_diverged_even_if_nothing_trains_them(images: Images) -> None:
    weights = dict(begin(fields(), images).model.state_dict())
    weights["head.bias"] = torch.full_like(weights["head.bias"], torch.inf)
    start = {"start": {"weights": WEIGHTS}, "iterations": 0, "record_every": 0}
    assert train(recipe(**start), {"weights": weights}, images).status == "diverged"


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"world_size": 2}, {}, "world_size is 2, but 1 worker"),
        ({}, {"capture": frozenset({25})}, "after 25 iterations"),
    ],
    ids=lambda value: str(value),
)
def test_what_cannot_be_run_is_refused(
    changes: dict[str, Any], options: dict[str, Any], message: str, images: Images
) -> None:
    with pytest.raises(ValueError, match=message):
        train(recipe(**changes), {}, images, **options)
