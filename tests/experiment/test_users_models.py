"""Plans of users' models: whose keys stay, what is pruned and what is not, and what is refused with its line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load

MODELS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.first = nn.Linear(64, 32)
        self.head = nn.Linear(32, classes)

    def forward(self, x):
        return self.head(torch.relu(self.first(x.flatten(1))))


class Named(Net):
    output_layer = "head"

    def __init__(self, input_shape, classes):
        super().__init__(input_shape, classes)
        self.late = nn.Linear(2, 2)


class HeadFirst(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.classifier = nn.Linear(32, classes)
        self.first = nn.Linear(64, 32)

    def forward(self, x):
        return self.classifier(torch.relu(self.first(x.flatten(1))))


class Two(Net):
    def __init__(self, input_shape, classes):
        super().__init__(input_shape, classes)
        self.other = nn.Linear(64, classes)

    def forward(self, x):
        return super().forward(x) + self.other(x.flatten(1))


class Attention(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.embedding = nn.Linear(6, 16)
        self.place = nn.Parameter(torch.zeros(1, input_shape[1], 16))
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, classes)

    def initialize(self, generator):
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=generator)

    def forward(self, x):
        rows = self.embedding(x[:, 0, :, :6]) + self.place
        return self.head(self.attention(rows, rows, rows)[0].mean(1))


class Auxiliary(Net):
    def __init__(self, input_shape, classes):
        super().__init__(input_shape, classes)
        self.aux = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, classes))
        self.head = nn.Linear(32, classes)

    def forward(self, x):
        scores = super().forward(x)
        return (scores, self.aux(self.first(x.flatten(1)))) if self.training else scores


class Recurrent(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.r = nn.GRU(8, 16, bias=False, batch_first=True)
        self.head = nn.Linear(16, classes)

    def initialize(self, generator):
        pass

    def forward(self, x):
        return self.head(self.r(x[:, 0])[0][:, -1])


class Checkpointed(Net):
    def forward(self, x):
        return self.head(torch.utils.checkpoint.checkpoint(self.first, x.flatten(1), use_reentrant=True))


class Normed(Net):
    def __init__(self, input_shape, classes):
        super().__init__(input_shape, classes)
        self.head = nn.utils.parametrizations.weight_norm(self.head)

    def initialize(self, generator):
        pass


class Tuple(Net):
    def forward(self, x):
        return super().forward(x), x
"""
BASE: dict[str, Any] = {
    "name": "own",
    "seeds": [0],
    "training": {"batch_size": 64, "length": "2ep"},
    "prune": {"rate": 0.5, "rounds": 2},
    "sources": [{"name": "low", "dataset": {"name": "digits", "classes": [0, 1, 2]}}],
    "targets": [{"name": "high", "dataset": {"name": "digits", "classes": [3, 4, 5, 6]}}],
    "tickets": ["winning", "random"],
}


def expanded(folder: Path, model: str | dict[str, Any], **changes: Any) -> Grid:
    (folder / "models.py").write_text(MODELS)
    named = {"name": model} if isinstance(model, str) else model
    file = folder / "grid.yaml"
    document = BASE | {"model": named | {"name": f"./models.py:{named['name']}"}} | changes
    file.write_text(yaml.safe_dump(document))
    return expand(load(file), folder)


def pruning(**fields: Any) -> dict[str, Any]:
    return {**BASE["prune"], **fields}


def fields_of(grid: Grid) -> dict[str, Any]:
    """Model fields of the stages, which are the same in all of them."""
    found = {
        str(stage.recipe.fields()["model"]): stage.training.configuration.model.fields()
        for stage in grid.stages.values()
        if stage.kind == "train"
    }
    (only,) = found.values()
    return dict(only)


def test_a_key_has_an_output_layer_only_where_it_is_none_that_was_known_before(tmp_path: Path) -> None:
    for model in ("Net", "Named"):
        grid = expanded(tmp_path, model)
        assert fields_of(grid).keys() == {"name", "class", "source"}
        for more in ({"output_layer": "head"}, {"output_layer": None}):
            assert list(expanded(tmp_path, {"name": model, **more}).stages) == list(grid.stages)
    found = expanded(tmp_path, "HeadFirst")
    assert fields_of(found)["output_layer"] == "classifier"
    assert list(found.stages) == list(expanded(tmp_path, {"name": "HeadFirst", "output_layer": "classifier"}).stages)
    prune = next(stage for stage in found.stages.values() if stage.kind == "prune")
    assert prune.recipe.fields()["layers"] == ["first.weight"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("Two", r"grid\.yaml:\d+: .*model: .*which layer gives the class scores is not certain: .* several layers"),
        ({"name": "Net", "output_layer": "heat"}, r"grid\.yaml:\d+: .*names 'heat', which .* Did you mean 'head'"),
        ("Tuple", r"grid\.yaml:\d+: .*it returns a tuple of 2 in evaluation"),
    ],
)
def test_what_is_not_certain_is_refused_with_its_line(model: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        expanded(tmp_path, model)
    if model == "Two":
        named = expanded(tmp_path, {"name": "Two", "output_layer": "head"}, targets="same")
        assert fields_of(named)["output_layer"] == "head"


def about_masks(grid: Grid) -> list[str]:
    return [note for note in grid.notes if "no mask" in note]


def test_weights_that_no_mask_covers_are_named_with_their_share(tmp_path: Path) -> None:
    every = 6 * 16 + 8 * 16 + 48 * 16 + 16 * 16 + 3 * 16
    left, counted = 8 * 16 + 48 * 16, 6 * 16 + 16 * 16
    (note,) = about_masks(expanded(tmp_path, "Attention"))
    assert note == (
        f"{left / every:.0%} of the weights of Attention ({left:,} of {every:,}) are in no mask: place, "
        f"attention.in_proj_weight. The last round prunes 75.0% of the others that are counted, which is "
        f"{0.75 * counted / every:.1%} of all. To prune them, too: "
        "`prune: {include: [place, attention.in_proj_weight]}`."
    )
    assert not about_masks(expanded(tmp_path, "Net"))
    (note,) = about_masks(expanded(tmp_path, "Attention", prune=pruning(include="place")))
    assert "no mask: attention.in_proj_weight. " in note
    assert not about_masks(expanded(tmp_path, "Attention", prune=pruning(include=["place", "attention.*"])))


def test_weights_that_have_no_part_in_the_class_scores_are_named_with_their_share(tmp_path: Path) -> None:
    def about(grid: Grid) -> list[str]:
        return [note for note in grid.notes if "no part" in note]

    left, counted = 16 * 32 + 3 * 16, 64 * 32 + 16 * 32 + 3 * 16
    (note,) = about(expanded(tmp_path, "Auxiliary", targets="same"))
    assert note.startswith(
        f"{left / counted:.0%} of the weights of Auxiliary that are counted ({left:,} of {counted:,}) have no part in "
        "its class scores: aux.0.weight, aux.2.weight. "
    )
    assert not about(expanded(tmp_path, "Auxiliary", targets="same", prune=pruning(only="first")))
    assert not about(expanded(tmp_path, "Net"))
    assert not about(expanded(tmp_path, "Checkpointed")), "its graph does not show the part that is run again"


def test_included_parameters_are_counted_pruned_and_in_the_key(tmp_path: Path) -> None:
    without = expanded(tmp_path, "Attention")
    grid = expanded(tmp_path, "Attention", prune=pruning(include="attention.in*"))
    total = 6 * 16 + 16 * 16 + 48 * 16
    points = [point for point in grid.points if point.ticket != "dense"]
    assert {(point.round, point.survivors, point.total) for point in points} == {
        (1, total // 2, total),
        (2, total // 4, total),
    }
    prune = [stage for stage in grid.stages.values() if stage.kind == "prune"]
    layers = ["embedding.weight", "attention.out_proj.weight", "attention.in_proj_weight"]
    assert [stage.recipe.fields()["layers"] for stage in prune] == [layers] * 2
    masked = [stage for stage in grid.stages.values() if stage.kind == "train" and stage.recipe.fields()["round"]]
    assert masked and all(stage.training.start.layers.included == ("attention.in_proj_weight",) for stage in masked)
    shared = set(grid.stages) & set(without.stages)
    assert {grid.stages[key].recipe.fields()["round"] for key in shared} == {0}, "only the dense networks are the same"
    assert list(expanded(tmp_path, "Attention", prune=pruning(include=None)).stages) == list(without.stages)
    only = expanded(tmp_path, "Attention", prune=pruning(include="attention.in*", only="attention.in_proj_weight"))
    assert {point.total for point in only.points if point.ticket != "dense"} == {48 * 16}


@pytest.mark.parametrize(
    ("model", "prune", "message"),
    [
        (
            "Attention",
            {"include": ["attention.in_proj"]},
            r"prune\.include\.0: there is no parameter .*Did you mean 'att",
        ),
        ("Attention", {"include": ["attention.in_proj_bias"]}, "no parameter 'attention.in_proj_bias' of two or more"),
        ("Attention", {"include": ["embedding"]}, r"It is pruned anyway\."),
        ("Net", {"include": ["fc"]}, r"Net has none\."),
        ("Recurrent", {}, r"include: \[r\.weight_ih_l0, r\.weight_hh_l0\]}`, or set prune_output: true"),
        ("Normed", {"prune_output": True}, r"prune_output: head\.weight is no parameter of a linear"),
    ],
)
def test_what_cannot_be_included_is_refused(model: str, prune: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        expanded(tmp_path, model, prune=pruning(**prune))


def test_a_target_whose_other_weights_have_other_shapes_is_refused(tmp_path: Path) -> None:
    """`place` has a row for each of the image's: its weights travel with a ticket, whether they are pruned or not."""
    larger = {"name": "larger", "dataset": {"name": "digits", "resize": 10}}
    with pytest.raises(UserError, match="do not fit the images of 1x10x10 here: place is 1x8x16 there and 1x10x16"):
        expanded(tmp_path, "Attention", targets=[larger])


def test_a_target_of_other_classes_is_refused_for_layers_that_depend_on_their_number(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"aux\.2\.weight is 3x16 there and 4x16 here\. It depends on the number of classes"
    ):
        expanded(tmp_path, "Auxiliary")
