"""`tickets prepare` writes what a grid then names, and says in words what it cannot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Pictures of different sizes."""
    for part in ("train", "val"):
        for number, name in enumerate(("cat", "dog")):
            (tmp_path / "data" / "pets" / part / name).mkdir(parents=True)
            Image.new("RGB", (8 + number, 6), (number, 0, 200)).save(tmp_path / "data" / "pets" / part / name / "0.jpg")
    return tmp_path


def test_a_folder_becomes_shards_that_a_grid_can_name(pets: Path, tickets: Callable[..., Any]) -> None:
    arguments = ("prepare", "images:pets", str(pets / "out"), "--data", str(pets / "data"))
    said = tickets(*arguments)
    assert said.code == 0, said.err
    assert "2 training and 2 test images in 2 shards" in said.out
    assert said.out.splitlines()[-1] == f"in a grid: dataset: {{name: parquet, path: '{pets / 'out'}'}}"
    assert "train-00000-of-00001.parquet: whole" in tickets(*arguments).out
    small = tickets("prepare", "{name: images, path: pets, resize: 4, crop: 4}", str(pets / "small"), *arguments[3:])
    assert small.code == 0, small.err


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("imagenete", "there is no data set 'imagenete'. Did you mean 'imagenet'?"),
        ("images:nowhere", "there is no folder"),
        ("{name: digits, crop: 0}", "crop: Input should be greater than 0"),
        ("{name: digits", "not valid YAML"),
        ("imagenet", "missing meta.bin, train, val"),
        ("{name: imagenet, resize: 64, crop: 56}", "leave `crop` out. Of imagenet the whole squares are written"),
        ("{name: digits, per_class: 1000}", "there are only 140 training images of a class"),
    ],
)
def test_what_cannot_be_prepared_is_said(
    tmp_path: Path, tickets: Callable[..., Any], dataset: str, message: str
) -> None:
    said = tickets("prepare", dataset, str(tmp_path / "out"), "--data", str(tmp_path))
    assert said.code == 2 and message in said.err and "Traceback" not in said.err


def test_what_loses_its_name_is_given_the_augmentation_that_belongs_to_it(
    tmp_path: Path, tickets: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    said = tickets("prepare", "{name: digits, half: a}", str(out), "--data", str(tmp_path)).out.splitlines()
    assert said[-2] == f"in a grid: dataset: {{name: parquet, path: '{out}'}}"
    assert said[-1] == "and, to train on it as on digits: training: {augment: {crop: 1}}"


def test_doctor_tells_which_named_sets_are_there(tmp_path: Path, tickets: Callable[..., Any]) -> None:
    assert tickets("prepare", "digits", str(tmp_path / "prepared" / "imagenet")).code == 0
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn" / "train_32x32.mat").touch()
    (tmp_path / "download-x" / "svhn").mkdir(parents=True)
    said = tickets("doctor", "--data", str(tmp_path), "--store", str(tmp_path / "store")).out
    assert "imagenet: prepared; places365: absent" in said and "svhn: svhn lacks test_32x32.mat" in said
    assert "found prepared." in said
