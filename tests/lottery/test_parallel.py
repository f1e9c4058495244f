"""Several workers train one stage as one worker would: the mean over the whole batch, one mask, rank 0's statistics."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.lottery.parallel import ALONE, checksums

WORKER = Path(__file__).with_name("parallel_worker.py")
Found = Callable[[str, int], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, fork_script: Callable[..., Any]) -> Found:
    """`found(scenario, size)`: what each rank found."""
    folder = tmp_path_factory.mktemp("groups")
    workers = [fork_script(WORKER, rank=rank, folder=folder) for rank in range(3)]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join(timeout=600)
            assert worker.exitcode == 0
    finally:
        for worker in workers:
            worker.kill()

    def read(scenario: str, size: int) -> list[dict[str, Any]]:
        return [torch.load(folder / f"{scenario}-{size}-{rank}.pt") for rank in range(size)]

    return read


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert list(one) == list(other)
    for name in one:
        assert torch.equal(one[name], other[name]), name


def alone(scenario: str, **changes: Any) -> dict[str, Any]:
    """The scenario in this process, on one worker."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("parallel_worker", WORKER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.set_num_threads(1)
    return dict(getattr(module, scenario)(ALONE, Path(), **changes))


def test_two_workers_are_one_whose_batch_norm_sees_half_a_batch(found: Found) -> None:
    first, _ = found("steps", 2)
    one = alone("steps", norm_batch=32)
    for name, expected in one["weights"].items():
        torch.testing.assert_close(first["weights"][name], expected, rtol=1e-4, atol=1e-5, msg=name)
    assert first["record"]["train_accuracy"] == one["record"]["train_accuracy"]
    for metric in ("train_loss", "test_loss", "test_accuracy"):
        assert first["record"][metric] == pytest.approx(one["record"][metric], rel=1e-4), metric
    whole = alone("steps")
    difference = (first["weights"]["conv1.weight"] - whole["weights"]["conv1.weight"]).abs().max()
    assert difference > 1e-3, "batch norm over the whole batch would do as well: the test shows nothing"


def test_pruned_weights_are_zero_on_every_worker_at_every_step(found: Found) -> None:
    for rank in found("steps", 2):
        assert rank["largest"] == [0.0] * 10
        assert rank["weights"]["conv2.weight"].count_nonzero() > 50


def test_the_workers_hold_the_same_weights_and_after_a_record_rank_0s_statistics(found: Found) -> None:
    first, second = found("steps", 2)
    assert_equal(first["weights"], second["weights"])
    assert first["record"] == second["record"]
    own, others = first["own statistics"], second["own statistics"]
    assert not torch.equal(own["bn1.running_mean"], others["bn1.running_mean"])
    assert_equal({name: first["weights"][name] for name in own}, own)


def test_parts_of_unequal_size_give_the_mean_over_the_whole_batch(found: Found) -> None:
    first, *others = found("uneven", 3)
    one = alone("uneven")
    for name, expected in one["final"].items():
        torch.testing.assert_close(first["final"][name], expected, rtol=1e-4, atol=1e-5, msg=name)
    assert len(first["history"]) == 2
    for record, expected in zip(first["history"], one["history"], strict=True):
        assert record == pytest.approx(expected, rel=1e-4)
    assert_equal(first["captured"][0], one["captured"][0])
    for other in others:
        assert other["history"] == first["history"]
        assert_equal(other["final"], first["final"])


def test_other_optimizers_layouts_and_precisions_keep_the_workers_equal(found: Found) -> None:
    first, second = found("adam", 2)
    assert first["status"] == "ok" and first["history"] == second["history"]
    assert_equal(first["final"], second["final"])


def test_late_gradients_and_auxiliary_outputs_train_on_several_workers(found: Found) -> None:
    """A layer that one worker skips and another does not has the gradient of both."""
    first, second = found("late", 2)
    assert first["record"] == second["record"]
    assert_equal(first["weights"], second["weights"])
    layers = [first["first"][f"layers.{number}.weight"] for number in range(5)]
    assert min(layers) == 0 < max(layers), "none was late: the test shows nothing"
    assert first["first"]["head.weight"] == 0
    assert not {"auxiliary.weight", "auxiliary.bias", "never.weight"} & first["first"].keys()


def test_workers_evaluate_a_ticket_as_one_does(found: Found) -> None:
    first, second = found("untrained", 2)
    one = alone("untrained")
    assert first["history"] == second["history"] and first["status"] == "ok"
    assert_equal(first["final"], one["final"])
    (record,), (expected,) = first["history"], one["history"]
    assert record.pop("test_loss") == pytest.approx(expected.pop("test_loss"), rel=1e-6)
    assert record == expected and record["train_loss"] is None


def test_an_interrupted_group_goes_on_to_the_same_bits(found: Found) -> None:
    """Three workers: with two, no order of summation could differ. Dropout: each has random numbers of its own."""
    first, *others = found("resumed", 3)
    for each in (first, *others):
        whole, rest = each["whole"], each["rest"]
        assert each["message"] == "Stopped after 16 of 24 iterations."
        assert rest["history"] == whole["history"] and len(whole["history"]) == 5
        assert_equal(rest["final"], whole["final"])
        assert_equal(each["whole"]["final"], first["whole"]["final"])
    assert sorted(first["rest"]["captured"]) == [4, 5, 10, 15, 20]
    for iteration, state in first["rest"]["captured"].items():
        assert_equal(state, first["whole"]["captured"][iteration])
    losses = {record["iteration"]: record["validation_loss"] for record in first["rest"]["history"]}
    every = {**first["whole"]["captured"], 24: first["whole"]["final"]}
    for run in ("whole", "rest"):
        assert_equal(first[run]["early_stop"], every[min(losses, key=lambda iteration: losses[iteration])])
    assert [each["whole"]["early_stop"] for each in others] == [None, None]
    assert [each["handed over"] for each in (first, *others)] == [1, 0, 0]


def test_workers_that_differ_or_cannot_share_a_batch_say_so_on_every_rank(found: Found) -> None:
    first, second = found("differing", 2)
    assert first == second, "all ranks end alike"
    assert "convnet on digits, round 1, seed 0, iteration 0: worker 1 of 2 holds another mask of conv" in first["mask"]
    assert "iteration 1: worker 1 of 2 holds another head.bias" in first["drift"]
    assert first["batch"].startswith("ValueError: The last batch of an epoch has 1 of 199 images")
    assert first["status"] == "diverged"


def test_a_checksum_changes_with_a_bit_and_with_an_exchange_of_places() -> None:
    weights = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    negative_zero = torch.where(torch.arange(3) == 1, -0.0, 0.0)
    others = [weights.flip(1), weights + 0, torch.nextafter(weights, torch.tensor(9.0)), torch.zeros(3), negative_zero]
    found = checksums([weights, *others])
    assert found[2] == found[0] and len(set(found)) == 5
