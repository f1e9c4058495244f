"""What the report leaves on disk."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from pipeline.report.figures import curves_figure
from pipeline.report.files import write_report
from pipeline.report.results import COLUMNS

TARGETS = ("mnist", "fashion_mnist", "digits")


def results(targets=TARGETS, sources=("mnist", "svhn"), rounds: int = 31) -> pd.DataFrame:
    """Thirty rounds at 20 %: 0.12 % of the weights are left."""
    rows = []
    for target in targets:
        for seed in range(3):
            rows.append(("any", target, "dense", 0, seed, 0.95 + seed / 100, 10000))
            for number in range(0, rounds, 3):
                level, survivors = 0.95 - 0.01 * number + seed / 100, round(10000 * 0.8**number)
                rows += [(source, target, "winning", number, seed, level, survivors) for source in sources]
                rows.append(("any", target, "random", number, seed, level - 0.01 * number, survivors))
    names = ["source", "target", "ticket", "round", "seed", "test_accuracy", "survivors"]
    table = pd.DataFrame(rows, columns=names).assign(experiment="test", model="lenet", total=10000, status="ok")
    table = table.assign(fraction_pruned=1 - table["survivors"] / 10000, source_optimizer="sgd", target_optimizer="sgd")
    return table.reindex(columns=COLUMNS)


def test_results_curves_comparison_and_figure_are_written(tmp_path):
    table = results()
    files = write_report("test", table, tmp_path / "report")
    assert {file.name for file in files} == {
        *("results.parquet", "results.csv", "curves.parquet", "curves.csv", "winning_vs_random.csv", "curves.png")
    }
    assert {file.name for file in (tmp_path / "report").iterdir()} == {file.name for file in files}
    again = pd.read_parquet(tmp_path / "report" / "results.parquet")
    np.testing.assert_array_equal(again["test_accuracy"], table["test_accuracy"])
    assert list(pd.read_csv(tmp_path / "report" / "results.csv").columns) == COLUMNS
    # 3 targets x (2 sources + random) x 11 rounds, and dense for each target
    assert len(pd.read_parquet(tmp_path / "report" / "curves.parquet")) == 3 * 3 * 11 + 3
    assert len(pd.read_csv(tmp_path / "report" / "winning_vs_random.csv")) == 3 * 2 * 11


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    write_report("test", results(), tmp_path)
    before = (tmp_path / "results.csv").read_bytes()

    def stops(self, path, **options):
        path.write_text("half")
        raise OSError("no space left")

    monkeypatch.setattr(pd.DataFrame, "to_csv", stops)
    with pytest.raises(OSError, match="no space"):
        write_report("test", results(), tmp_path)
    assert (tmp_path / "results.csv").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw a table and give the figure itself."""

    def draw(table: pd.DataFrame) -> Figure:
        figures = []
        save = Figure.savefig
        monkeypatch.setattr(Figure, "savefig", lambda self, path: (figures.append(self), save(self, path)))
        path = curves_figure(table, tmp_path / "curves.png", title="test")
        assert imread(path).shape[2] == 4
        return figures[0]

    return draw


def test_one_panel_a_target_one_line_a_source(drawn):
    figure = drawn(results())
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [f"target: {target}" for target in TARGETS]
    for axes in panels:
        labels = [line.get_label() for line in axes.get_lines()]
        assert labels == ["winning, from mnist", "winning, from svhn", "random", "dense network"]
        assert len({line.get_color() for line in axes.get_lines()}) == 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == labels


def test_the_lines_are_the_means_in_percent(drawn):
    axes = drawn(results()).axes[0]
    winning = axes.get_lines()[0]
    remaining, accuracy = winning.get_xdata(), winning.get_ydata()
    assert remaining[-1] == 100
    assert accuracy[-1] == pytest.approx(96)
    assert remaining[0] == pytest.approx(0.12)
    assert accuracy[0] == pytest.approx(66)


def test_the_axis_shows_999_permille_pruned(drawn):
    axes = drawn(results()).axes[0]
    left, right = axes.get_xlim()
    assert left > 100 > 0.12 > right > 0.05
    assert axes.get_xscale() == "log"
    assert {"100", "10", "1", "0.1"} <= {text.get_text() for text in axes.get_xticklabels()}
    above = axes.child_axes[0]
    assert "99.9" in {text.get_text() for text in above.get_xticklabels()}


def test_the_title_says_how_many_seeds(drawn):
    table = results()
    table.loc[0, "status"] = "diverged"
    table.loc[1, "test_accuracy"] = np.nan
    assert "n = 2 to 3, 1 diverged" in drawn(table).get_suptitle()


def test_a_grid_without_results_is_a_figure_that_says_so(drawn):
    assert "no results yet" in drawn(results().assign(test_accuracy=np.nan)).get_suptitle()


def test_an_empty_network_is_left_out_of_the_logarithmic_axis(drawn):
    table = results()
    table.loc[table["round"] == 30, ["survivors", "fraction_pruned"]] = [0, 1.0]
    assert min(drawn(table).axes[0].get_lines()[0].get_xdata()) > 0
