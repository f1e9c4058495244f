"""What each paper's grid costs stands in its comments, and is what `tickets plan` says."""

from pathlib import Path

import pytest

from pipeline.cli.plan import plan

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
PARTS = {f"morcos2019/{name}.yaml" for name in ("vgg19", "resnet50", "mini")}
PARTS |= {f"{paper}/paper.yaml" for paper in ("morcos2019", "frankle2018", "mehta2019", "vansoelen2019")}
PARTS |= {"frankle2018/mnist.yaml", "mehta2019/resnet18.yaml", "vansoelen2019/small.yaml"}
"""What grids extend."""
FILES = sorted({f"{file.parent.name}/{file.name}" for file in EXPERIMENTS.glob("*/*.yaml")} - PARTS)
WITH_DATA = {name for name in FILES if not name.startswith("frankle2018") and name.endswith("mini.yaml")}
"""Grids whose data sets are files that planning has to look at."""

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("name", [name for name in FILES if name not in WITH_DATA])
def test_the_comments_of_a_figure_are_what_plan_says(name: str, tmp_path: Path, capsys: Captured) -> None:
    """Without any data: ImageNet is not needed to plan what it would cost."""
    check_comments(name, tmp_path, tmp_path, capsys)


@pytest.mark.parametrize("name", sorted(WITH_DATA))
def test_the_comments_of_a_mini_are_what_plan_says(
    name: str, data_root: Path, tmp_path: Path, capsys: Captured
) -> None:
    check_comments(name, data_root, tmp_path, capsys)


def check_comments(name: str, root: Path, folder: Path, capsys: Captured) -> None:
    plan([EXPERIMENTS / name], store=str(folder / "store"), data=root)
    lines = capsys.readouterr().out.splitlines()
    comments = (EXPERIMENTS / name).read_text()
    assert f"# Plan: {lines[0].partition(': ')[2]};" in comments
    told = [line for line in lines if line.startswith(("shared:", "longest chain:"))]
    assert len(told) == 2
    for line in told:
        assert f"#   {line}\n" in comments
