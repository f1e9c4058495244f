"""`tickets plan` on several files and folders: one table, what is shared counted once, each mistake told."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMON = """
model: lenet-8
seeds: [0]
training: {batch_size: 64, length: 2ep}
prune: {rate: 0.5, rounds: 2}
"""
HALF = "extends: common.yaml\nname: {0}\nsources: [{{dataset: {{name: digits, half: {0}}}}}]\ntickets: [{1}]\n"
Tickets = Callable[..., Any]


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the current directory: `halves` with a part, two grids, a small twin of one, both together; `own` with one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "halves").mkdir()
    (tmp_path / "own").mkdir()
    for name, text in {
        "halves/common.yaml": COMMON,
        "halves/a.yaml": HALF.format("a", "winning"),
        "halves/a-random.yaml": "extends: a.yaml\nname: a-random\ntickets: [winning, random]\n",
        "halves/b.yaml": HALF.format("b", "winning"),
        "halves/all.yaml": "experiments: [a-random.yaml, b.yaml]\n",
        "own/whole.yaml": f"name: whole\n{COMMON}sources: [digits]\n",
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def rows(out: str) -> dict[str, list[str]]:
    """Of the table: the numbers by what stands before them."""
    table = out.partition("paper's way:")[0].splitlines()[1:]
    parts = [re.fullmatch(r"\s*(\S+\.yaml \(\d+ grids\)|all folders|\S+) *(.*?) *", line) for line in table]
    cell = r"(?:> )?(?:\d+ h \d+ min|\d+ min \d+ s|\d+ s|\S+)"
    return {part[1]: re.findall(cell, part[2]) for part in parts if part}


def alone(tickets: Tickets, file: str) -> dict[str, Any]:
    facts = json.loads(tickets("plan", file, "--json").out)
    del facts["reasons"]
    return dict(facts)


def test_each_grid_has_a_row_with_what_its_own_plan_says(experiments: Path, tickets: Tickets) -> None:
    said = tickets("plan", "halves", "own/whole.yaml")
    assert said.code == 0, said.err
    found = rows(said.out)
    assert list(found) == [
        *("halves", "a-random.yaml", "a.yaml", "all.yaml (2 grids)", "b.yaml", "together"),
        *("own", "whole.yaml", "all folders"),
    ]
    for name, file in {"a.yaml": "halves/a.yaml", "all.yaml (2 grids)": "halves/all.yaml"}.items():
        facts = alone(tickets, file)
        stages, trainings, paper = facts["to_run"], facts["trainings"], facts["requested"]["train"]
        numbers = [str(number) for number in (stages, stages, trainings, paper)]
        assert found[name] == [*numbers, str(facts["chain_iterations"]), "?"]
    assert said.out.endswith("halves: left out, parts that others extend or name: common.yaml\n")
    assert "?: nothing like it has run on this store yet" in said.out and "GPU hours" not in said.out


def test_a_part_may_have_sources_that_lack_what_another_part_has(experiments: Path, tickets: Tickets) -> None:
    (experiments / "halves/small.yaml").write_text("sources: [{dataset: {name: digits, half: b}}]\n")
    (experiments / "halves/c.yaml").write_text("extends: [a.yaml, small.yaml]\nname: c\n")
    (experiments / "halves/paper.yaml").write_text("title: A & B 2020\n")
    said = tickets("plan", "halves")
    assert said.code == 0, said.err
    assert said.out.endswith(
        "halves: left out, parts that others extend or name: common.yaml, paper.yaml, small.yaml\n"
    )


def test_stages_that_grids_share_are_counted_once(experiments: Path, tickets: Tickets) -> None:
    """The random tickets' grid has all stages of the first, and the collection those of two that are there, too."""
    facts = json.loads(tickets("plan", "halves", "own", "--json").out)
    halves, own = facts["folders"]
    expected = halves["files"]["a-random.yaml"]["to_run"] + halves["files"]["b.yaml"]["to_run"]
    assert halves["together"]["to_run"] == expected
    assert facts["all"]["to_run"] == expected + own["together"]["to_run"]
    without = json.loads(tickets("plan", *(f"halves/{name}.yaml" for name in ("a", "a-random", "b")), "--json").out)
    assert halves["together"]["requested"] == without["all"]["requested"], "a collection's grids are there once"
    assert halves["files"]["a.yaml"] == alone(tickets, "halves/a.yaml")
    assert own["together"] == alone(tickets, "own/whole.yaml") | {"name": "own"}


def test_a_part_is_left_out_wherever_what_extends_it_lies_and_nothing_else_is(
    experiments: Path, tickets: Tickets
) -> None:
    """Not a grid because others extend it, not what no file extends, and not what is wrong rather than missing."""
    (experiments / "own" / "model.yaml").write_text("training: {batch_size: 32}\n")
    (experiments / "halves" / "b.yaml").write_text(HALF.format("b", "winning").replace("common", "../own/model"))
    facts = json.loads(tickets("plan", "halves", "own", "--json").out or "{}")
    halves, own = facts["folders"]
    assert (halves["parts"], own["parts"]) == (["common.yaml"], ["model.yaml"])
    assert "a.yaml" in halves["files"]
    assert list(halves["refused"]) == ["all.yaml", "b.yaml"], "b.yaml lacks what the common file gave it"
    (experiments / "halves" / "common.yaml").write_text(COMMON + "sed: 0\n")
    said = tickets("plan", "halves", "own", "--json")
    assert json.loads(said.out)["folders"][0]["parts"] == []
    assert "common.yaml:6: sed: unknown key. Did you mean 'seeds'?" in said.out
    said = tickets("plan", "own/whole.yaml", "own/model.yaml")
    assert said.code == 2 and "cannot be planned: own/model.yaml:1: name: is missing." in said.out


def test_what_cannot_be_planned_is_told_and_the_others_are_planned(experiments: Path, tickets: Tickets) -> None:
    lost = HALF.format("b", "winning").replace("{name: digits, half: b}", "{name: imagenet, half: b}")
    (experiments / "halves" / "b.yaml").write_text(lost)
    (experiments / "halves" / "torn.yaml").write_text("name: torn\nmodel: lenet-4\nseeds: [0]\nsources: [a]\n")
    said = tickets("plan", "halves", "own/whole.yaml", "gone.yaml", "--data", "nowhere")
    assert said.code == 2
    assert said.err == (
        "error: 2 of the files cannot be planned: halves/torn.yaml, gone.yaml. `tickets plan FILE` says all of why.\n"
    )
    assert {"a.yaml", "a-random.yaml", "whole.yaml"} < rows(said.out).keys() and "torn.yaml" not in rows(said.out)
    assert rows(said.out)["b.yaml"][0] == "0"
    joined = " ".join(said.out.split())
    assert joined.count("missing data: nothing can be planned of target imagenet-b, source imagenet-b: halves/b") == 1
    assert "cannot be planned: halves/torn.yaml:" in joined
    assert "cannot be planned: gone.yaml: there is no such file." in joined
    assert "Valid:" not in said.out, "the first sentence only"


def test_done_stages_and_timed_ones_are_seen(finished: Path, tickets: Tickets) -> None:
    (finished / "more.yaml").write_text("extends: tiny.yaml\nname: more\nseeds: [0, 1, 2]\n")
    found = rows(tickets("plan", "tiny.yaml", "more.yaml").out)
    assert found["tiny.yaml"] == ["14", "0", "10", "10", "0", "done"]
    assert found["more.yaml"][:2] == ["21", "7"] and found["more.yaml"][-1].endswith(" s")
    both = [*found["more.yaml"][:3], "19", *found["more.yaml"][4:]]
    assert found["together"] == both, "the chains of two seeds, six trainings, are searched once"


GPUS = ("--set", "resources={gpus_per_worker: 0.5}")


def test_time_and_gpu_hours_are_those_of_the_single_plans(experiments: Path, tickets: Tickets) -> None:
    given = (*GPUS, "--images-per-second", "lenet=0.01")
    found = rows(tickets("plan", "halves", *given).out)
    whole = tickets("plan", "halves/b.yaml", *given).out
    assert f"time: {found['b.yaml'][-2]} on one lane" in whole and f"GPU hours: {found['b.yaml'][-1]}\n" in whole
    wrong = tickets("plan", "halves", "own", "--images-per-second", "vgg19=5")
    assert wrong.code == 2 and "there is no model 'vgg19' in these files, but lenet." in wrong.err
    (experiments / "own" / "images.yaml").write_text(
        f"name: c\n{COMMON}sources: [digits]\n".replace("lenet-8", "convnet")
    )
    some = tickets("plan", "own", "--images-per-second", "lenet=5").out
    assert rows(some)["images.yaml"][-1] == "?" and rows(some)["together"][-1].startswith("> ")
    assert ">: without the trainings that were never timed" in some


@pytest.mark.parametrize("option", ["--why", "--mermaid"])
def test_what_is_about_one_grid_is_refused_for_several(experiments: Path, tickets: Tickets, option: str) -> None:
    for files in (["halves"], ["halves/a.yaml", "halves/b.yaml"]):
        said = tickets("plan", *files, option)
        assert said.code == 2 and not said.out
        assert said.err == (
            f"error: {option} is about the stages of one grid: name one YAML file, not several or a folder.\n"
        )
    assert tickets("plan", "halves/a.yaml", option).code == 0


def test_a_file_that_is_named_twice_is_one_and_folders_inside_are_named(experiments: Path, tickets: Tickets) -> None:
    twice = json.loads(tickets("plan", "own", "./own/", str(experiments / "own" / "whole.yaml"), "--json").out)
    assert [(folder["folder"], list(folder["files"])) for folder in twice["folders"]] == [("own", ["whole.yaml"])]
    said = tickets("plan", ".")
    assert said.code == 2 and "There is no grid in .: name YAML files, or folders that hold some." in said.err
    assert said.out == ".: not looked into, name them as well: halves, own\n.: no YAML file\n"
    assert "not looked into" not in tickets("plan", ".", "halves", "own").out
