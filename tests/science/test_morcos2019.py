"""The grids of Morcos et al. 2019: the paper's settings and counts."""

from pathlib import Path

import pytest

from pipeline.experiment.collections import open_work
from pipeline.experiment.grid import Work
from pipeline.experiment.loading import load
from pipeline.report.sections.settings import in_force

FOLDER = Path(__file__).parents[2] / "experiments" / "morcos2019"


def opened(name: str, root: Path) -> Work:
    return open_work(FOLDER / name, [], root)


def trainings(work: Work) -> int:
    return sum(stage.kind == "train" for stage in work.stages.values())


def test_figure_3_has_the_trainings_that_sharing_leaves(tmp_path: Path) -> None:
    """Counted by hand: chains of 31 trainings, 14 evaluated rounds, six seeds."""
    four, small, large = (opened(f"fig3-{part}.yaml", tmp_path) for part in ("small-sources", "small", "large"))
    chains = 4 * 31 * 6
    assert trainings(four) == chains + 12 * 14 * 6 + 4 * 14 * 6 == 2_088
    assert four.requested["train"] == 3_096
    # all six sources: the last round of ImageNet's and Places365's chains is not evaluated on itself here, and not
    # trained: 12 less than 3,132
    assert trainings(small) == 6 * 31 * 6 - 12 + 20 * 14 * 6 + 4 * 14 * 6 == 3_120
    both = {key for work in (small, large) for key, stage in work.stages.items() if stage.kind == "train"}
    assert len(both) == 6 * 31 * 6 + 22 * 14 * 6 + 6 * 14 * 6 == 3_468
    assert set(four.stages) <= set(small.stages)


def test_all_figures_share_what_they_have_in_common(tmp_path: Path) -> None:
    work = opened("all.yaml", tmp_path)
    assert [grid.name for grid in work.grids] == [
        f"morcos2019-{figure}"
        for figure in ("fig1", "fig2", "fig3-small", "fig3-large", "fig4-small", "fig4-large", "fig5", "figA1")
    ]
    alone = sum(trainings(grid) for grid in work.grids)
    # CIFAR-10's chain with VGG19 (186) is in figures 1, 3, 5 and A1; its 84 random tickets too
    assert trainings(work) == alone - 3 * 186 - 3 * 84 - shared_by_the_large(work)


def shared_by_the_large(work: Work) -> int:
    """Trainings of the large sources' chains that both parts of figures 3 and 4 have."""
    by_name = {grid.name.removeprefix("morcos2019-"): grid for grid in work.grids}
    return sum(
        len({key for key, stage in by_name[f"{figure}-small"].stages.items() if stage.kind == "train"}
            & by_name[f"{figure}-large"].stages.keys())
        for figure in ("fig3", "fig4")
    )  # fmt: skip


@pytest.mark.parametrize("name", ["fig2", "fig3-small", "fig3-large", "fig4-small", "fig4-large", "fig5", "figA1"])
def test_settings_are_the_papers(name: str) -> None:
    settings = in_force(load(FOLDER / f"{name}.yaml"))
    assert not set(settings.loc[settings["differs"], "field"])
