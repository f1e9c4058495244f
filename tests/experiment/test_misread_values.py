"""What YAML reads otherwise than whoever wrote it is refused with its line; so is a key that nothing stands after."""

from pathlib import Path

import pytest

from pipeline.experiment.errors import IncompleteError, UserError
from pipeline.experiment.loading import load
from pipeline.experiment.spec import Spec
from pipeline.experiment.yaml_reading import parse


def loaded(tmp_path: Path, text: str, *overrides: str) -> Spec:
    (tmp_path / "grid.yaml").write_text(text)
    return load(tmp_path / "grid.yaml", overrides)


def refused(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(UserError) as error:
        loaded(tmp_path, text, *overrides)
    return str(error.value).replace(f"{tmp_path}/", "")


NUMERALS = ["010", "011", "-010", "08", "00", "1:30", "1:30.5", "190:20:30", "0x1f", "0b11", "0o17", "0_7", "!!int 010"]


@pytest.mark.parametrize("written", NUMERALS)
def test_a_number_in_a_base_that_nobody_sees_is_refused_wherever_it_stands(
    tmp_path: Path, small: str, written: str
) -> None:
    number = written.removeprefix("!!int ")
    said = refused(tmp_path, small.replace("[0, 1]", f"[1, {written}]"))
    assert said.startswith("grid.yaml:3: seeds.1: ") and said.endswith("for text, put it in quotes.")
    meant = "YAML reads {} to the base 60" if ":" in number else "{} is not the same number for YAML as for everybody"
    assert meant.format(number) in said
    for text in (f"a: {{b: {written}}}", f"a:\n- {written}", f"x-a: &a {written}\nb: *a"):
        with pytest.raises(UserError, match=r"f:\d: "):
            parse(text, "f")
    if not written.startswith("!"):
        with pytest.raises(UserError, match="f:2: "):
            parse(f"a: 1\n{written}: 2", "f")
    assert number in refused(tmp_path, small, f"training.batch_size={written}")
    (tmp_path / "base.yaml").write_text(small.replace("64", written))
    assert refused(tmp_path, "extends: base.yaml\n").startswith("base.yaml:6: training.batch_size: ")
    model = f"{{name: 'my.py:Net', arguments: {{depth: {written}}}}}"
    assert "model.arguments.depth" in refused(tmp_path, small.replace("lenet-20-10", model))


def test_a_number_in_quotes_is_text_and_decimal_numbers_are_what_they_look_like() -> None:
    quoted = parse("""{a: '010', b: "0x1f", c: '1:30', d: 'yes', '010': 1}""", "f").plain()
    assert quoted == {"a": "010", "b": "0x1f", "c": "1:30", "d": "yes", "010": 1}
    written = "[0, -0, +5, 1_000, 1_000_000.5, 1e-4, -1E5, 1.5e3, -.5, 5., 007.5, 1.0e-4, 2020-01-01, 10ep, v1:30x]"
    read = [0, 0, 5, 1000, 1_000_000.5, 1e-4, -1e5, 1.5e3, -0.5, 5.0, 7.5, 1e-4, "2020-01-01", "10ep", "v1:30x"]
    assert parse(written, "f").plain() == read
    assert [type(value) for value in parse("[1, 1e3, 1_000]", "f").plain()] == [int, float, int]
    for odd in ("1_0", "1__000", "!!int ''", "!!int 1.5", "!!float x", "!!float ''", "9" * 5000):
        with pytest.raises(UserError, match=r"f:1: a: .* is not a valid (int|float)"):
            parse(f"a: {odd}", "f")


def test_a_truth_value_is_no_name_and_no_argument(tmp_path: Path, small: str) -> None:
    assert loaded(tmp_path, small + "dense: no\n").dense is False
    said = "should be text, and this is a truth value in YAML: put it in quotes."
    assert refused(tmp_path, small.replace("name: small", "name: on")) == f"grid.yaml:1: name: {said}"
    model = small.replace("lenet-20-10", "{name: 'my.py:Net', arguments: {mode: off}}")
    assert "model.arguments.mode: off is a truth value in YAML: write true or false" in refused(tmp_path, model)


def test_a_decimal_comma_is_an_unknown_key(tmp_path: Path, small: str) -> None:
    sgd = "{name: sgd, lr: 0.1, momentum: 0,9, weight_decay: 0,0005}"
    said = "unknown key. A comma in {...} begins another key: a decimal number has a point."
    lines = [f"grid.yaml:5: training.optimizer.{key}: {said}" for key in ("9", "0005")]
    assert refused(tmp_path, small.replace("{name: sgd, lr: 0.1}", sgd)).splitlines() == lines
    assert refused(tmp_path, small, "training.optimizer={lr: 0,1}").startswith(
        f"--set training.optimizer={{lr: 0,1}}: training.optimizer.1: {said}"
    )


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("name: small", "sedes: null\nname: small", "grid.yaml:1: sedes: unknown key. Did you mean 'seeds'?"),
        ("lr: 0.1", "lr: 0.1, momentm: null", "training.optimizer.momentm: unknown key. Did you mean 'momentum'?"),
        ("lr: 0.1", "lr: 0.1, betas: null", "training.optimizer.betas: unknown key."),
        ("half: a", "half: a, path: ~", "sources.0.dataset.path: unknown key."),
        ("lenet-20-10", "{name: lenet-20, width: null}", "model.width: unknown key."),
        ("rounds: 3", "rounds: 3, foo: null", "grid.yaml:8: prune.foo: unknown key."),
        ("[winning, random]", "[{name: w, mask: preserved, foo: null}]", "tickets.0.foo: unknown key."),
        ("half: a}", "half: a}, prune: {foo: null}", "sources.0.prune.foo: unknown key."),
    ],
)
def test_a_null_does_not_make_a_key_known(tmp_path: Path, small: str, old: str, new: str, place: str) -> None:
    assert place in refused(tmp_path, small.replace(old, new, 1))


def test_an_unknown_key_that_is_null_in_a_file_that_is_extended_is_found_there(tmp_path: Path, small: str) -> None:
    (tmp_path / "base.yaml").write_text(small + "foo: null\n")
    assert refused(tmp_path, "extends: base.yaml\n").startswith("base.yaml:14: foo: unknown key.")


def test_a_known_key_without_a_value_is_an_entry_that_was_never_finished(tmp_path: Path, small: str) -> None:
    said = "has no value: write one, or null for its default."
    momentum = small.replace("{name: sgd, lr: 0.1}", "\n    name: sgd\n    momentum:")
    assert refused(tmp_path, momentum) == f"grid.yaml:7: training.optimizer.momentum: {said}"
    assert refused(tmp_path, small, "training.lr_decay=") == f"--set training.lr_decay=: training.lr_decay: {said}"
    assert "seeds.0: an item without a value" in refused(tmp_path, small.replace("[0, 1]", "\n  -\n  - 1"))
    with pytest.raises(IncompleteError):  # a part for others to extend, who give the name
        loaded(tmp_path, small.replace("name: small", "name:"))
    (tmp_path / "base.yaml").write_text(small.replace("name: small", "name:"))
    assert loaded(tmp_path, "extends: base.yaml\nname: mine\n").name == "mine"


def test_null_takes_a_key_of_a_source_back_to_its_default_too(tmp_path: Path, small: str) -> None:
    decayed = small.replace("length: 10ep", "length: 10ep\n  lr_decay: {at: [5ep]}")
    own = decayed.replace("{dataset: {name: digits, half: a}}", "{dataset: digits, training: {lr_decay: null}}")
    first, second = loaded(tmp_path, own).sources
    assert first.training.lr_decay is None and second.training.lr_decay is not None


@pytest.mark.parametrize("key", ["~", "[1, 2]", "!!binary aGk=", "!!set {a}"])
def test_a_key_that_is_no_name_is_refused(key: str) -> None:
    with pytest.raises(UserError, match="f:2: "):
        parse(f"a: 1\n? {key}\n: 3", "f")
