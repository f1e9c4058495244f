"""A user's model is run once when it is planned: its output layer is found, and what it returns is checked."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.experiment.examination import Examination, examine
from pipeline.lottery import models
from pipeline.lottery.layers import head, prunable
from pipeline.recipes.models import model_from
from pipeline.recipes.users_model import UserModel

BASE = """
import torch
from torch import nn
from torch.nn import functional as F


class Base(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.classes = classes
        self.first = nn.Linear(64, 32)
        self.head = nn.Linear(32, classes)
        self.make()

    def make(self):
        pass

    def initialize(self, generator):
        pass

    def hidden(self, x):
        return F.relu(self.first(x.flatten(1)))

    def forward(self, x):
        return self.head(self.hidden(x))


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


class Net(Base):
"""


def user_model(folder: Path, body: str) -> tuple[dict[str, Any], Path]:
    """Fields and file of a model that is `Base` but for `body`."""
    file = folder / "models.py"
    file.write_text(BASE + "\n".join(f"    {line}" for line in body.splitlines()) + "\n    pass\n")
    return {"name": "user", "class": "Net", "source": hashlib.sha256(file.read_bytes()).hexdigest()}, file


def examined(folder: Path, body: str, classes: int = 5, **more: Any) -> Examination:
    fields, file = user_model(folder, body)
    return examine(UserModel.from_fields(fields | more), (1, 8, 8), classes, file)


FORWARD = "def forward(self, x): return "
OTHER = "def make(self): self.other = nn.Linear(32, self.classes)\n"
CERTAIN = {
    "the last Linear": ("", "head", None),
    "a Linear made before others": ("def make(self): self.late = nn.Linear(9, 9)", "head", "head"),
    "log-softmax": (f"{FORWARD}F.log_softmax(super().forward(x), 1)", "head", None),
    "log-softmax by hand": (
        "def forward(self, x):\n    s = super().forward(x)\n    return s - s.logsumexp(1, keepdim=True)",
        "head",
        None,
    ),
    "a factor that is learned": (
        f"def make(self): self.scale = nn.Parameter(torch.ones(()))\n{FORWARD}self.scale * super().forward(x)",
        "head",
        None,
    ),
    "batch norm after it": (
        f"def make(self): self.norm = nn.BatchNorm1d(self.classes)\n{FORWARD}self.norm(super().forward(x))",
        "head",
        None,
    ),
    "its weight used without it": (f"{FORWARD}F.linear(self.hidden(x), self.head.weight)", "head", None),
    "a normalized weight": (f"{FORWARD}F.linear(self.hidden(x), F.normalize(self.head.weight))", "head", None),
    "a 1x1 convolution, pooled": (
        f"def make(self): self.last = nn.Conv2d(1, self.classes, 1)\n{FORWARD}F.relu(self.last(x), True).mean((2, 3))",
        "last",
        "last",
    ),
    "frozen layers": ("def make(self): self.head.requires_grad_(False)", "head", None),
    "code that looks at values": (f"{FORWARD}super().forward(x) if x.sum().item() < 1e9 else None", "head", None),
    "code that looks at values, and a name": (
        f"output_layer = 'head'\n{FORWARD}super().forward(x) if x.sum().item() < 1e9 else None",
        "head",
        None,
    ),
    "a constructor that looks at values": (
        "def make(self): self.rate = torch.linspace(0, 1, 3)[1].item()",
        "head",
        None,
    ),
    "a module called output_layer": (
        f"def make(self): self.output_layer, self.late = nn.Linear(32, self.classes), nn.Linear(2, 2)\n"
        f"{FORWARD}self.output_layer(self.hidden(x))",
        "output_layer",
        "output_layer",
    ),
    "weight norm": ("def make(self): self.head = nn.utils.parametrizations.weight_norm(self.head)", "head", None),
    "images changed in place": (f"{FORWARD}super().forward(x.sub_(0.5))", "head", None),
    "no gradient in evaluation": (
        f"{FORWARD}super().forward(x) if self.training else super().forward(x).detach()",
        "head",
        None,
    ),
    "two layers, one named": (f"output_layer = 'head'\n{OTHER}{FORWARD}super().forward(x)", "head", None),
}


@pytest.mark.parametrize("case", CERTAIN)
def test_the_layer_whose_outputs_are_the_class_scores_is_found(case: str, tmp_path: Path) -> None:
    body, name, in_key = CERTAIN[case]
    found = examined(tmp_path, body)
    assert not found.remarks
    assert found.layers[-1][0] == f"{name}.weight" and found.layers[-1][1][0] == 5
    assert found.output_layer == in_key, "the key says what the class and its last Linear do not"
    assert f"{name}.weight" not in [layer for layer, _ in found.layers[:-1]]


UNCERTAIN = {
    "two layers": (
        f"{OTHER}{FORWARD}super().forward(x) + self.other(self.hidden(x))",
        "several layers: (other, head|head, other)",
    ),
    "a branch past it": (f"{FORWARD}super().forward(x) + x.flatten(1)[:, :5]", "its last layer is none of its modules"),
    "a fixed matrix after it": (
        f"def make(self): self.register_buffer('fixed', torch.ones(5, 5))\n{FORWARD}super().forward(x) @ self.fixed",
        "its last layer is none of its modules",
    ),
    "an own function after it": (f"{FORWARD}Double.apply(super().forward(x))", "its last layer is none of its modules"),
    "tied weights": (
        "def make(self):\n    self.before, self.after = nn.Linear(32, 5), nn.Linear(5, 32)\n"
        f"    self.head.weight = self.before.weight\n{FORWARD}self.head(self.after(self.before(self.hidden(x))))",
        "shares its weights: head, before",
    ),
    "scores put together": (
        f"def make(self): self.head = nn.Linear(32, 10)\n{FORWARD}super().forward(x).view(-1, 5, 2).amax(2)",
        "head, has 10 outputs for 5 classes",
    ),
    "no gradient": (f"{FORWARD}super().forward(x).detach()", "no gradient leads from its outputs"),
}


@pytest.mark.parametrize("case", UNCERTAIN)
def test_a_layer_that_is_not_certain_has_to_be_named(case: str, tmp_path: Path) -> None:
    body, why = UNCERTAIN[case]
    with pytest.raises(ValueError, match=f"{why}.* Name it: model: .*output_layer: NAME") as refused:
        examined(tmp_path, body)
    assert "\n" not in str(refused.value)
    named = examined(tmp_path, body, output_layer="head")
    assert named.layers[-1][0] == "head.weight"


HEADS = f"""def make(self): self.heads = nn.ModuleList(nn.Linear(32, 1) for _ in range(self.classes))
{FORWARD}torch.cat([head(self.hidden(x)) for head in self.heads], 1)"""
NOT_NAMED = {
    "an own parameter": (
        f"def make(self): self.own = nn.Parameter(torch.ones(32, 5))\n{FORWARD}self.hidden(x) @ self.own",
        "its outputs come from own",
    ),
    "a recurrent state": (
        f"def make(self): self.memory = nn.LSTM(8, self.classes, batch_first=True)\n"
        f"{FORWARD}self.memory(x[:, 0])[1][0][0]",
        "its outputs come from memory.weight_",
    ),
    "a layer for each class": (HEADS, "several layers: heads.4"),
}


@pytest.mark.parametrize("case", NOT_NAMED)
def test_where_no_layer_can_be_named_that_is_said(case: str, tmp_path: Path) -> None:
    body, why = NOT_NAMED[case]
    with pytest.raises(ValueError, match=f"{why}.* It cannot be named: such a model needs one Linear or convolution"):
        examined(tmp_path, body)


def test_a_named_module_without_a_weight_is_refused_with_the_one_in_it(tmp_path: Path) -> None:
    body = "def make(self): self.head, self.empty = nn.Sequential(nn.Linear(32, 5), nn.Softmax(1)), nn.ReLU()"
    with pytest.raises(ValueError, match=r"'head' of Net has no weight: name the module .*, such as 'head\.0'\."):
        examined(tmp_path, body, output_layer="head")
    with pytest.raises(ValueError, match="'empty' of Net has no weight: such a model needs one Linear"):
        examined(tmp_path, body, output_layer="empty")


RETURNED = {
    "a tuple": ("super().forward(x), x", "returns a tuple of 2 in evaluation"),
    "a tuple of nothing, in training": ("() if self.training else super().forward(x)", "a tuple of 0 in training"),
    "a dict": ("{'logits': super().forward(x)}", "returns a dict of 'logits' in evaluation"),
    "a dict in training": ("{'out': x} if self.training else super().forward(x)", "a dict of 'out' in training"),
    "nothing": ("None", "returns nothing in evaluation"),
    "unflattened scores": ("super().forward(x)[:, :, None, None]", r"\[images, 5, 1, 1\] .*outputs\.flatten\(1\)"),
    "a map of scores": ("super().forward(x)[:, :, None].expand(-1, -1, 7)", r"\[images, 5, 7\] .* average them"),
    "one score": ("super().forward(x)[:, 0]", r"returns \[images\] in evaluation"),
    "a loss": ("super().forward(x).mean()", r"returns \[\] in evaluation"),
    "other classes": ("super().forward(x)[:, :4]", "4 numbers an image in evaluation, and there are 5 classes"),
    "classes first": ("super().forward(x).T", r"returns \[5, 2\]"),
    "a choice": ("super().forward(x).argmax(1)", "torch.int64 .* before any argmax"),
}


@pytest.mark.parametrize("case", RETURNED)
def test_what_is_not_class_scores_is_said_in_one_sentence(case: str, tmp_path: Path) -> None:
    returned, message = RETURNED[case]
    if case == "another output first in training":
        body = (
            OTHER
            + FORWARD
            + "(self.other(self.hidden(x)), super().forward(x)) if self.training else super().forward(x)"
        )
    else:
        body = FORWARD + returned
    with pytest.raises(ValueError, match=message) as refused:
        examined(tmp_path, body)
    assert "\n" not in str(refused.value)


def test_what_cannot_be_run_is_refused_or_named_and_remarked(tmp_path: Path) -> None:
    """It may be made for a GPU alone."""
    body = f"{FORWARD}self.head(x)"
    with pytest.raises(ValueError, match=r"it cannot be run: RuntimeError: .*\(If it runs on a GPU alone, name its"):
        examined(tmp_path, body)
    found = examined(tmp_path, body, output_layer="head")
    assert found.output_layer is None and found.layers[-1][0] == "head.weight"
    (remark,) = found.remarks
    assert remark.startswith("cannot be run here, so that what it returns is not checked: RuntimeError: ")


@pytest.mark.parametrize(
    "body",
    [f"def forward(self, x): raise SystemExit({code})" for code in ("", "3")] + ["def make(self): raise SystemExit(3)"],
)
def test_a_model_that_ends_the_program_is_refused(body: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"(cannot be run|failed): SystemExit"):
        examined(tmp_path, body)


def test_a_compiled_part_is_examined_without_compiling_it(tmp_path: Path) -> None:
    body = "def make(self): self.first = torch.compile(self.first, backend=self.compiler)\n"
    body += "def compiler(self, graph, inputs): raise SystemExit('it is compiled')"
    found = examined(tmp_path, body)
    assert [name for name, _ in found.layers] == ["first._orig_mod.weight", "head.weight"]
    compiled = torch.compile(nn.Linear(2, 2), backend=_compiler)
    with pytest.raises(Exception, match="it is compiled"):
        compiled(torch.ones(1, 2))


def _compiler(graph: Any, inputs: Any) -> Any:
    raise RuntimeError("it is compiled")


def test_as_many_classes_as_images_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"returns \[2, 3\]"):
        examined(tmp_path, f"{FORWARD}super().forward(x).T", classes=2)


def test_a_name_that_no_module_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"output_layer names 'heda', which is not .* Did you mean 'head'"):
        examined(tmp_path, "", output_layer="heda")


def test_another_layer_than_the_one_that_is_found_is_remarked(tmp_path: Path) -> None:
    found = examined(tmp_path, "", output_layer="first")
    assert found.output_layer == "first"
    come = "has 'first' named its output layer, and its class scores come from"
    rows = "has 'first' named its output layer, whose weight is [32, 64], for 5 classes"
    assert found.remarks == [f"{come} 'head'", rows]
    body = f"{OTHER}{FORWARD}super().forward(x) + self.other(self.hidden(x))"
    assert examined(tmp_path, body, output_layer="first").remarks == [f"{come} 'other', 'head'", rows]
    found = examined(tmp_path, HEADS, output_layer="heads.4")
    assert found.remarks == ["has 'heads.4' named its output layer, whose weight is [1, 32], for 5 classes"]


def test_class_scores_that_come_second_in_training_are_refused(tmp_path: Path) -> None:
    body = f"{OTHER}def forward(self, x):\n    s, h = super().forward(x), self.hidden(x)\n"
    with pytest.raises(
        ValueError, match=r"in training its \(first\) output comes from 'other', in evaluation from 'head'"
    ):
        examined(tmp_path, f"{body}    return (self.other(h), s) if self.training else s")


AUXILIARY = (
    f"{OTHER}def forward(self, x):\n    s, h = super().forward(x), self.hidden(x)\n"
    "    return (s, self.other(h)) if self.training else s"
)


def test_the_first_of_several_outputs_in_training_is_trained_on_and_that_is_remarked(tmp_path: Path) -> None:
    found = examined(tmp_path, AUXILIARY)
    assert found.layers[-1][0] == "head.weight" and found.output_layer == "head"
    assert found.remarks == ["returns 2 outputs in training, and is trained on the first"]


def test_examination_and_lazy_layers_leave_random_numbers_and_statistics_alone(tmp_path: Path) -> None:
    body = (
        "def make(self): self.first, self.head, self.norm = nn.LazyLinear(32), nn.LazyLinear(5), nn.LazyBatchNorm1d()\n"
    )
    body += f"{FORWARD}self.norm(super().forward(x))"
    fields, file = user_model(tmp_path, body)
    before = torch.random.get_rng_state()
    found = examine(UserModel.from_fields(fields), (1, 8, 8), 5, file)
    built = models.build(model_from(fields), (1, 8, 8), 5, file)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert found.layers == [("first.weight", (32, 64)), ("head.weight", (5, 32))]
    assert built.training and built.get_submodule("norm").training
    assert built.get_buffer("norm.num_batches_tracked") == 0 and not built.get_buffer("norm.running_mean").any()


def test_lazy_layers_start_as_layers_of_known_sizes(tmp_path: Path) -> None:
    starts = []
    for kind in ("nn.LazyLinear(32), nn.LazyLinear(self.classes)", "nn.Linear(64, 32), nn.Linear(32, self.classes)"):
        fields, file = user_model(tmp_path, f"initialize = None\ndef make(self): self.first, self.head = {kind}")
        model = models.build(model_from(fields), (1, 8, 8), 5, file)
        models.initialize(model, 3, model_from(fields | {"source": "one of both"}))
        starts.append(model.state_dict())
    assert all(torch.equal(value, starts[1][name]) for name, value in starts[0].items())


def test_a_lazy_layer_that_stays_without_a_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"late\.weight of Net has no shape, and in evaluation no forward pass"):
        examined(tmp_path, "def make(self): self.late = nn.LazyLinear(3)")


def test_what_is_called_the_output_layer_changes_no_initial_weight(tmp_path: Path) -> None:
    fields, file = user_model(tmp_path, "initialize = None")
    states = []
    for named in ({}, {"output_layer": "first"}):
        model = models.build(model_from(fields | named), (1, 8, 8), 5, file)
        models.initialize(model, 0, model_from(fields | named))
        states.append(model.state_dict())
        assert head(model) == named.get("output_layer", "head")
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_weights_that_the_output_layer_shares_are_not_pruned(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 4), nn.Linear(4, 3))
    model[2].weight = model[0].weight
    assert list(prunable(model)) == ["1.weight"]
    assert list(prunable(model, output=True)) == ["1.weight", "2.weight"]


def test_parameters_that_no_mask_covers_are_listed(tmp_path: Path) -> None:
    body = (
        "def make(self):\n    self.up = nn.ConvTranspose2d(1, 1, 2)\n    self.memory = nn.LSTM(8, 4, bias=True)\n"
        "    self.attention = nn.MultiheadAttention(8, 2)\n    self.own = nn.Parameter(torch.ones(1, 8, 8))\n"
        "    self.vector = nn.Parameter(torch.ones(8))\n"
        "    self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(8, 3))\n"
        "    self.old = nn.utils.weight_norm(nn.Linear(8, 3))\n    self.words = nn.Embedding(5, 8)"
    )
    found = examined(tmp_path, body, output_layer="head")
    assert dict(found.unmasked) == {
        "own": (1, 8, 8),
        "up.weight": (1, 1, 2, 2),
        "memory.weight_ih_l0": (16, 8),
        "memory.weight_hh_l0": (16, 4),
        "attention.in_proj_weight": (24, 8),
        "normed.parametrizations.weight.original0": (3, 1),
        "normed.parametrizations.weight.original1": (3, 8),
        "old.weight_g": (3, 1),
        "old.weight_v": (3, 8),
        "words.weight": (5, 8),
    }
    assert [name for name, _ in found.layers] == ["first.weight", "attention.out_proj.weight", "head.weight"]


@pytest.mark.parametrize("norm", ["nn.utils.weight_norm", "nn.utils.parametrizations.weight_norm"])
def test_a_computed_weight_that_nothing_initializes_is_refused_at_once(norm: str, tmp_path: Path) -> None:
    """Its `reset_parameters` would draw a tensor that is computed anew: all seeds would start from the same weights."""
    with pytest.raises(ValueError, match=re.escape("define initialize(generator)")):
        examined(tmp_path, f"initialize = None\ndef make(self): self.first = {norm}(self.first)")
