"""Reading YAML: positions, anchors, and what could exhaust memory or time."""

import time
from copy import deepcopy
from pathlib import Path

import pytest

from pipeline.experiment.errors import UserError
from pipeline.experiment.yaml_reading import parse, read_file

LEVELS = "\n".join(f"{b}: &{b} [{', '.join(['*' + a] * 10)}]" for a, b in zip("abcdefg", "bcdefgh", strict=True))
BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + LEVELS


def test_every_value_knows_the_line_of_its_key() -> None:
    document = parse("a: 1\nb:\n  c:\n    - 2\n    - d: 3\n", "g.yaml")
    nested = document.value["b"].value["c"]
    assert (nested.at.line, nested.path) == (3, "b.c")
    assert (nested.value[1].value["d"].at.line, nested.value[1].value["d"].path) == (5, "b.c.1.d")
    assert str(nested.at) == "g.yaml:3"


def test_scalars_are_read_as_people_mean_them() -> None:
    text = "[1, 1.5, 1e-4, 1.0e-4, true, null, 2020-01-01, '1e-4', 0it]"
    assert parse(text, "f").plain() == [1, 1.5, 1e-4, 1e-4, True, None, "2020-01-01", "1e-4", "0it"]


def test_anchors_and_merges_are_expanded_and_own_keys_win() -> None:
    document = parse("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{y: 5}, *a]}\n", "f")
    assert document.plain() == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 5}}
    assert document.value["b"].value["x"].at.line == 1


def test_two_uses_of_an_anchor_are_two_copies() -> None:
    document = parse("a: &a {x: 1}\nb: *a\n", "f")
    document.value["b"].value["x"].value = 2
    assert document.plain() == {"a": {"x": 1}, "b": {"x": 2}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3: a: the key is given twice (first in line 1)."),
        ("a: [1,\nb: }", "f:2: not valid YAML"),
        ("a: 1\n---\nb: 2", "f:2: not valid YAML: expected a single document"),
        ("a:\n  - !!python/object/apply:os.system [ls]", "f:2: a.0: the tag"),
        ("a: !!binary aGk=", "f:1: a: the tag"),
        ("x: 1\na: &a [1, *a]", "f:2: a.1: an anchor that contains itself."),
        ("a: &a\n  <<: *a\n", "an anchor that contains itself."),
        ("? [1, 2]\n: 3", "f:1: a key has to be a name."),
        ("a: {<<: 3}", "f:1: a: << merges mappings only."),
        ("a: " + "1" * 6000, "f:1: a: '1111"),
        ("a: *nothing", "f:1: not valid YAML"),
        ("\x00", "f: not valid YAML"),
        ("a: " + "x" * 100_000, "f:1: a value of more than 64,000 characters."),
        ("[" * 200_000, "f:1: nested more than 50 levels deep."),
        ("\n".join(" " * depth + "a:" for depth in range(1000)), "f:51: nested more than 50 levels deep."),
        ("a:\n  b: 's3://AKIA:SECRET@bucket/x'", "f:2: a.b: holds a password or a key"),
        ("a: [1, 's3://bucket/x?secret_key=SECRET']", "f:1: a.1: holds a password or a key"),
        (BOMB, "anchors and aliases expand to more than 50,000 values."),
    ],
)
def test_what_is_no_modest_document_is_refused_with_its_line_and_quickly(text: str, message: str) -> None:
    begin = time.monotonic()
    with pytest.raises(UserError) as refused:
        parse(text, "f")
    assert message in str(refused.value)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a: " + b"x" * 1_000_001, "larger than 1,000,000 bytes"), (b"a: \xff\xfe", "not UTF-8 text")],
)
def test_files_that_are_no_text_of_a_grid_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "g.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_file(file)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, what in ((tmp_path, "a folder; name the YAML file"), (tmp_path / "none.yaml", "there is no such file")):
        with pytest.raises(UserError, match=what):
            read_file(path)


def test_a_copy_of_a_document_can_be_changed_alone() -> None:
    document = parse("a: {b: [{c: 1}, 2]}", "f")
    copied = deepcopy(document)
    assert copied == document and str(copied.value["a"].at) == "f:1"
    copied.value["a"].value["b"].value[0].value["c"].value = 3
    copied.value["a"].value["b"].value.pop()
    assert document.plain() == {"a": {"b": [{"c": 1}, 2]}}


def test_long_values_that_begin_like_numbers_are_read_in_no_time() -> None:
    value = "1" * 60_000 + "x"
    started = time.process_time()
    assert parse("\n".join(f"k{number}: {value}" for number in range(10)), "f").value["k0"].value == value
    assert time.process_time() - started < 5
