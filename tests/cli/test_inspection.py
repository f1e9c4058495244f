"""plan, status, show, verify and doctor say what is there, and `--json` prints nothing but JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.quantities import duration, size


def parsed(said: Any) -> Any:
    assert said.code == 0, said.err
    assert said.err == ""
    return json.loads(said.out)


def test_plan_tells_a_fresh_grid_from_a_finished_one(finished: Path, tickets: Callable[..., Any]) -> None:
    fresh = parsed(tickets("plan", "tiny.yaml", "--json", "--store", "empty"))
    assert (fresh["to_run"], fresh["cached"], fresh["seconds"]) == (14, 0, None)
    assert fresh["stages"]["chain"] == {"all": 6, "cached": 0, "to_run": 6}
    assert len(fresh["reasons"]) == 14
    done = parsed(tickets("plan", "tiny.yaml", "--json"))
    assert (done["to_run"], done["cached"], done["reasons"]) == (0, 14, {})


def test_plan_of_a_longer_grid_estimates_from_what_has_run(finished: Path, tickets: Callable[..., Any]) -> None:
    facts = parsed(tickets("plan", "tiny.yaml", "--json", "--set", "seeds=[0, 1, 2]"))
    assert (facts["to_run"], facts["cached"]) == (7, 14)
    assert facts["seconds"] > 0
    said = tickets("plan", "tiny.yaml", "--set", "seeds=[0, 1, 2]", "--why")
    assert "time: " in said.out and "unknown" not in said.out
    assert "low seed 2 round 1: new" in said.out


def test_plan_in_words_says_what_the_stages_do(fresh: Path, tickets: Callable[..., Any]) -> None:
    said = tickets("plan", "tiny.yaml")
    for words in ("train a source's rounds", "prune: a mask for each round", "train random tickets on targets"):
        assert words in said.out


def test_plan_says_what_sharing_saves_and_how_long_the_longest_chain_is(
    fresh: Path, tickets: Callable[..., Any]
) -> None:
    """Two sources: 12 trainings of chains, 8 of tickets on the other's data, 16 random ones, half of them shared."""
    two = "sources=[{dataset: {name: digits, half: a}}, {dataset: {name: digits, half: b}}]"
    lines = tickets("plan", "tiny.yaml", "--set", two).out.splitlines()
    assert lines[0] == "tiny: 36 stages (28 trainings, 8 prunings) for 28 results"
    shared = "shared: 36 trainings the paper's way (every evaluation anew), 28 different ones: 8 (22 %) saved"
    assert shared in lines
    assert "longest chain: 5 stages, 72 iterations (6 epochs)" in lines
    assert "time: unknown; nothing like it has run on this store yet (--images-per-second estimates it)" in lines
    assert not [line for line in lines if line.startswith("GPU hours")]


GPUS = ("--set", "resources={gpus_per_worker: 0.5}")


def test_plan_estimates_gpu_hours_from_a_throughput(fresh: Path, tickets: Callable[..., Any]) -> None:
    facts = parsed(tickets("plan", "tiny.yaml", *GPUS, "--images-per-second", "0.1", "--json"))
    images = 10 * 24 * 64 * (8 * 8) / (32 * 32)
    assert facts["gpu_hours"] == pytest.approx(images / 0.1 / 3600)
    assert facts["seconds"] == pytest.approx(2 * images / 0.1)
    assert (facts["trainings"], facts["prunings"], facts["chain_epochs"]) == (10, 4, 6)
    said = tickets("plan", "tiny.yaml", *GPUS, "--images-per-second", "lenet=0.1").out
    assert "GPU hours: 2.7\n" in said
    assert "  from 0.1 images of 32x32 a second of a GPU: lenet on digits (8x8)\n" in said
    assert said == tickets("plan", "tiny.yaml", *GPUS, "--images-per-second", "lenet=0.1").out


def test_plan_does_not_take_the_time_of_a_processor_for_that_of_a_gpu(
    finished: Path, tickets: Callable[..., Any]
) -> None:
    """Resources are not in the keys: everything is cached but what another seed adds."""
    more = ("--set", "seeds=[0, 1, 2]")
    assert "from trainings of their own kind on " in tickets("plan", "tiny.yaml", *more).out
    facts = parsed(tickets("plan", "tiny.yaml", *more, *GPUS, "--json"))
    assert (facts["seconds"], facts["gpu_hours"], facts["trainings_never_timed"]) == (None, None, 5)
    assert [basis["source"] for basis in facts["estimated_from"]] == [None]


@pytest.mark.parametrize("written", ["fast", "0", "-1", "nan", "inf", "=5", "vgg19=100"])
def test_a_throughput_that_is_none_is_refused(fresh: Path, tickets: Callable[..., Any], written: str) -> None:
    said = tickets("plan", "tiny.yaml", "--images-per-second", written)
    assert said.code == 2
    assert f"--images-per-second {written}: " in said.err
    assert "such as 100000" in said.err or "but lenet" in said.err


def test_mermaid_is_a_flowchart(fresh: Path, tickets: Callable[..., Any]) -> None:
    assert tickets("plan", "tiny.yaml", "--mermaid").out.startswith("flowchart LR\n")


def test_status_counts_stages_and_results(finished: Path, tickets: Callable[..., Any]) -> None:
    facts = parsed(tickets("status", "tiny.yaml", "--json"))
    assert (facts["stages"], facts["cached"], facts["to_run"]) == (14, 14, 0)
    assert (facts["points"], facts["points_with_results"], facts["drivers"]) == (10, 10, {})
    said = tickets("status", "tiny.yaml")
    assert "14 of 14 stages done, 0 to run" in said.out and "at work: nobody" in said.out


def test_show_finds_a_stage_by_the_beginning_of_its_key(finished: Path, tickets: Callable[..., Any]) -> None:
    from pipeline.engine.store import Store

    snapshot = Store(".tickets/store").snapshot()
    keys = sorted(
        key for key in snapshot if (record := snapshot.record(key)) and record.get("label") == "low seed 1 round 1"
    )
    facts = parsed(tickets("show", keys[0][:10], "--json"))
    assert facts["key"] == keys[0]
    assert [entry["iteration"] for entry in facts["history"]] == [12, 24]
    said = tickets("show", keys[0][:10])
    assert said.out.startswith("low seed 1 round 1: ok\n")
    assert keys[0] in said.out and "test accuracy" in said.out and "weights survive" in said.out


def test_show_says_where_early_stopping_would_end_a_training(fresh: Path, tickets: Callable[..., Any]) -> None:
    held_out = "sources=[{name: low, dataset: {name: digits, validation: 100}}]"
    options = ("--set", held_out, "--set", "seeds=[0]", "--set", "prune.rounds=1")
    assert tickets("run", "tiny.yaml", *options, "--local", "--tracking", "none").code == 0
    key = next(file.stem for file in (fresh / ".tickets" / "store" / "done").iterdir() if "dense" in file.read_text())
    assert "smallest validation loss after " in tickets("show", key).out


def test_show_answers_an_ambiguous_beginning_with_keys(finished: Path, tickets: Callable[..., Any]) -> None:
    said = tickets("show", "")
    assert said.code == 2
    assert "14 keys begin with ''" in said.err and ", ..." in said.err


def test_verify_names_a_damaged_file_and_a_run_mends_it(finished: Path, tickets: Callable[..., Any]) -> None:
    assert parsed(tickets("verify", "--json")) == []
    damaged = next((finished / ".tickets" / "store" / "outputs").rglob("mask.*"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    said = tickets("verify")
    assert said.code == 1
    assert damaged.name in said.out and "tickets run" in said.out
    listed = json.loads(tickets("verify", "--json").out)
    assert [Path(problem["path"]).name for problem in listed] == [damaged.name]
    assert tickets("run", "tiny.yaml", "--local", "--tracking", "none").code == 0
    assert tickets("verify").out.endswith("The store is whole.\n")


def test_damage_that_no_run_would_meet_is_removed_by_verify_and_made_again(
    finished: Path, tickets: Callable[..., Any]
) -> None:
    history = next((finished / ".tickets" / "store" / "outputs").rglob("history.*"))
    before = history.read_bytes()
    history.write_bytes(before[:-2] + bytes([before[-2] ^ 1]) + before[-1:])
    assert tickets("verify", "--discard").code == 1
    assert tickets("run", "tiny.yaml", "--local", "--tracking", "none").code == 0
    assert tickets("verify").code == 0 and history.read_bytes() == before


def test_doctor_tells_versions_store_and_data(finished: Path, tickets: Callable[..., Any], tmp_path: Path) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    assert parsed(tickets("doctor", "--json", "--data", str(tmp_path / "data")))["data"]["found"] == []
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{part}-ubyte.gz").touch()
    facts = parsed(tickets("doctor", "--json", "--data", str(tmp_path / "data")))
    assert facts["data"]["found"] == ["MNIST"]
    assert facts["store"]["stages"] == 14
    assert {"python", "torch", "ray", "mlflow"} <= facts["versions"].keys()
    assert "unusable" in tickets("doctor", "--store", "tiny.yaml").out


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7320, "2 h 2 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (33_110, "33 kB"), (999_999, "1.0 MB")]
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize("command", [("verify",), ("show", "abc"), ("report", "tiny.yaml"), ("sync", "tiny.yaml")])
def test_a_mistyped_store_is_named_and_not_made(
    finished: Path, tickets: Callable[..., Any], tmp_path: Path, command: tuple[str, ...]
) -> None:
    typo = tmp_path / "typo"
    said = tickets(*command, "--store", str(typo))
    assert said.code == 2 and "There is no store at" in said.err
    assert not typo.exists()


@pytest.mark.parametrize("command", [("plan", "tiny.yaml"), ("status", "tiny.yaml"), ("doctor",)])
def test_looking_makes_no_store(
    finished: Path, tickets: Callable[..., Any], tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert tickets(*command, "--store", str(tmp_path / "none")).code == 0
    assert not (tmp_path / "none").exists()


def test_credentials_are_not_shown(
    finished: Path, tickets: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://user:hunter2@host/db")
    said = tickets("doctor")
    assert said.code == 0 and "hunter2" not in said.out and "host/db" in said.out


def test_plan_says_why_a_stage_would_run_again_and_diff_compares_two(
    finished: Path, tickets: Callable[..., Any]
) -> None:
    changed = ("plan", "tiny.yaml", "--set", "training.optimizer.lr=0.2", "--why")
    said = tickets(*changed).out.splitlines()
    (line,) = [line for line in said if "low seed 0 dense" in line]
    assert "new; optimizer.lr: 0.1 in the store, 0.2 now (nearest: " in line and line.endswith(", of tiny)")
    assert "10 stages: optimizer.lr: 0.1 in the store, 0.2 now" in said
    found = parsed(tickets(*changed, "--json"))["nearest"]
    assert len(found) == 14
    dense = [line[:12] for line in said if " dense: new" in line]
    one, other = (near["key"] for key, near in found.items() if key[:12] in dense)
    told = tickets("diff", one, other[:12]).out
    assert "  seed: 0, 1\n" in told
    assert parsed(tickets("diff", one, other, "--json"))[0]["fields"] == [{"field": "seed", "there": "0", "now": "1"}]
    assert tickets("diff", one, "nope").code == 2


def test_an_experiment_moves_to_another_store_as_a_file(finished: Path, tickets: Callable[..., Any]) -> None:
    said = tickets("archive", "tiny", "tiny.zip")
    assert said.out == "tiny.zip: 14 of 14 stages of tiny, 33 files, 65 kB unpacked\n"
    assert tickets("archive", "tiny.yaml", "again.zip").code == 0
    assert (finished / "tiny.zip").read_bytes() == (finished / "again.zip").read_bytes()
    said = tickets("import", "tiny.zip", "--store", "other")
    assert said.code == 0 and "14 of 14 stages in the archive, 14 stages" in said.out
    plan = parsed(tickets("plan", "tiny.yaml", "--json", "--store", "other"))
    assert (plan["to_run"], plan["cached"]) == (0, 14)
    assert tickets("report", "tiny", "--reports", "here").code == 0
    assert tickets("report", "tiny", "--reports", "there", "--store", "other").code == 0
    for table in sorted((finished / "here" / "tiny").glob("*.csv")):
        assert table.read_bytes() == (finished / "there" / "tiny" / table.name).read_bytes(), table.name
    (finished / "tiny.zip").write_bytes(b"no")
    refused = tickets("import", "tiny.zip", "--store", "third")
    assert refused.code == 2 and "tiny.zip is not imported: it is cut off or altered" in refused.err
    assert not (finished / "third").exists()
    assert "There is no file none.zip" in tickets("import", "none.zip").err
    both = tickets("archive", "tiny", "tiny.zip", "--with", "weights", "--only", "results")
    assert both.code == 2 and "give one of the two" in both.err
    assert tickets("archive", "tiny", "results.zip", "--only", "results").code == 0
    assert tickets("import", "results.zip", "--store", "fourth").code == 0
    assert tickets("report", "tiny", "--store", "fourth", "--reports", "fourth-reports").code == 0
    results = (finished / "fourth-reports" / "tiny" / "results.csv").read_bytes()
    assert results == (finished / "here" / "tiny" / "results.csv").read_bytes()


def test_verify_makes_stages_again_and_the_report_says_so(finished: Path, tickets: Callable[..., Any]) -> None:
    said = tickets("verify", "--recompute", "10%", "--seed", "1")
    assert said.code == 0 and "2 of 2: " in said.out
    assert " made again, of 14 that could be: " in said.out and "came out bit for bit the same" in said.out
    assert tickets("report", "tiny").code == 0
    page = (finished / "reports" / "tiny" / "report.html").read_text()
    assert "made again" in page and "the same, bit for bit" in page
    alone = tickets("verify", "tiny")
    assert alone.code == 2 and "a name or file needs --recompute" in alone.err
    wrong = tickets("verify", "--recompute", "all")
    assert wrong.code == 2 and "should be a share of the stages such as 1%" in wrong.err
    assert len(parsed(tickets("verify", "tiny", "--recompute", "1%", "--json"))["recomputed"]) >= 1


def test_du_and_gc_tell_and_free_space(finished: Path, tickets: Callable[..., Any]) -> None:
    assert "Nothing to remove" in tickets("gc").out
    assert tickets("du").out.splitlines()[1].split()[:2] == ["tiny", "14"]
    assert parsed(tickets("du", "--json"))["stages"] == {"tiny": 14}
    told = tickets("gc", "--budget", "40kB")
    assert "would stay. `--yes` does it." in told.out
    before = parsed(tickets("du", "--json"))["total"]
    done = tickets("gc", "--budget", "40kB", "--yes")
    after = parsed(tickets("du", "--json"))["total"]
    assert after < before and "Removed " in done.out
    assert tickets("verify").code == 0
    for wrong, why in ((("--budget", "12x"), "should be a size such as"), (("--keep", "no"), "no such experiment")):
        said = tickets("gc", *wrong)
        assert said.code == 2 and why in said.err
