"""What the README shows works as it stands: its grid, its five lines, its commands, its links."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_grid_can_be_planned(tmp_path: Path) -> None:
    from pipeline.experiment.expansion import expand
    from pipeline.experiment.loading import load

    file = tmp_path / "grid.yaml"
    file.write_text(blocks("yaml")[0])
    grid = expand(load(file, []), "data")
    assert {point.ticket for point in grid.points} == {"winning", "random", "dense"}


def test_the_ticket_in_five_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torchvision

    from pipeline import Ticket

    source = torchvision.models.resnet18(num_classes=10)
    mask = {"layer1.0.conv1.weight": torch.rand(64, 64, 3, 3) < 0.1}
    weights = dict(source.state_dict())
    weights["layer1.0.conv1.weight"] = weights["layer1.0.conv1.weight"] * mask["layer1.0.conv1.weight"]
    Ticket(mask, weights, {"source": "cifar10"}).save(tmp_path / "resnet18-cifar10.safetensors")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(blocks("python")[0], names)
    assert re.fullmatch(r"(89|90)\.\d% pruned, from cifar10", capsys.readouterr().out.strip())
    names["model"](torch.randn(4, 3, 32, 32)).sum().backward()
    names["optimizer"].step()
    trained = names["model"].layer1[0].conv1.weight
    assert trained[~mask["layer1.0.conv1.weight"]].eq(0).all() and trained.ne(0).any()


def test_results_as_a_data_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.cli import main

    short = ["seeds=[0, 1]", "prune.rounds=2", "training.lr_decay=null", "training.length=2ep"]
    given = [word for override in short for word in ("--set", override)]
    command = ["tickets", "run", str(ROOT / "experiments" / "quickstart.yaml"), *given, "--local", "--tracking", "none"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit, match="0"):
        main()
    capsys.readouterr()
    exec(blocks("python")[1], {})
    printed = capsys.readouterr().out
    assert re.search(r"winning\s+digits-0-4(\s+0\.\d+){4}", printed), printed


def test_the_commands_exist() -> None:
    import typer.main
    from typer.core import TyperGroup

    from pipeline.cli import app

    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    known = set(command.commands)
    named = set(re.findall(r"`tickets ([a-z]+)", README))
    assert named == known
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z]+)", README, re.MULTILINE)) <= targets


def test_local_links_and_files_exist() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README) + re.findall(r"(experiments/[\w/.]+\.yaml)", README):
        assert (ROOT / link).exists(), link


def test_every_experiment_can_be_planned() -> None:
    from pipeline.experiment.expansion import expand
    from pipeline.experiment.loading import load

    for file in sorted((ROOT / "experiments").glob("*.yaml")):  # those of papers: tests/science
        assert expand(load(file, []), "data").points, file
