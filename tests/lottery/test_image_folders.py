"""Image folders: planning and training see the same images by one rule, and a folder's key follows its content."""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from pipeline.experiment import image_folders as planned_folders
from pipeline.experiment.catalogue import Data, describe
from pipeline.experiment.image_folders import ImageFolder
from pipeline.experiment.reading_once import reading_once
from pipeline.lottery import content_hashes, image_folders
from pipeline.lottery.data import DataError, load
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.errors import UnfitError

RANDOM = np.random.default_rng(0)


def resident(pixels: object) -> Tensor:
    """Of a small set: all in memory."""
    assert isinstance(pixels, Tensor)
    return pixels


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TICKETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Four training and two test images of each of two classes."""
    for part, count in (("train", 4), ("val", 2)):
        for name in ("cat", "dog"):
            pictures(tmp_path / "pets" / part / name, count)
    return tmp_path / "pets"


def pictures(folder: Path, count: int, suffix: str = ".bmp", mark: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {".bmp": "BMP", ".png": "PNG", ".ppm": "PPM"}
    for number in range(count):
        pixels = RANDOM.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{mark}{number}{suffix}", kinds.get(suffix.lower(), "JPEG"))


def planned(folder: Path, **options: Any) -> Data:
    return describe(ImageFolder(path=folder.name, **options), folder.parent, None)


def counts(folder: Path) -> dict[str, int]:
    """Training images by class, once a plan and a training have agreed on them."""
    data = planned(folder)
    loaded = load(data.recipe, folder.parent, data.location)
    assert len(loaded.train_x) == data.images and tuple(loaded.train_x.shape[1:]) == data.shape
    assert loaded.classes == data.classes
    names = image_folders.image_folder(folder).train.pictures
    return dict(zip(names, loaded.train_y.bincount(minlength=loaded.classes).tolist(), strict=True))


def more(pets: Path) -> Path:
    """Three images beside the data set."""
    pictures(pets.parent / "more", 3, mark="more")
    return pets.parent / "more"


def link(pets: Path, name: str, target: str | Path) -> None:
    (pets / name).symlink_to(target)


def folder_link(pets: Path) -> None:
    link(pets, "train/cat/more", more(pets))


def two_links(pets: Path) -> None:
    folder_link(pets)
    link(pets, "train/cat/again", pets / "train/cat/more")


def class_link(pets: Path) -> None:
    link(pets, "train/emu", more(pets))


def file_links(pets: Path) -> None:
    link(pets, "train/cat/x.bmp", pets / "train/cat/0.bmp")
    link(pets, "train/cat/y.bmp", more(pets) / "more0.bmp")


def loops(pets: Path) -> None:
    link(pets, "train/cat/back", "..")
    link(pets, "train/cat/here", ".")
    link(pets, "train/dog/set", pets)
    link(pets, "train/dog/disk", "/")


def long_loop(pets: Path) -> None:
    folder_link(pets)
    (more(pets) / "set").symlink_to(pets)


def linked_folder_that_leads_up(pets: Path) -> None:
    for name, mark in (("pool/more", "more"), ("pool/other", "other")):
        pictures(pets.parent / name, 3, mark=mark)
    link(pets, "train/cat/more", pets.parent / "pool/more")
    (pets.parent / "pool/more/up").symlink_to("..")


def link_into_another_class(pets: Path) -> None:
    pictures(pets / "train/dog/puppies", 1)
    link(pets, "train/cat/puppies", pets / "train/dog/puppies")


def hidden(pets: Path) -> None:
    for name in ("train/.cache", "train/cat/.ipynb_checkpoints", "train/cat/deep/.thumbnails", "val/dog/.x"):
        pictures(pets / name, 2)
    pictures(pets / "train/dog", 1, mark=".")
    pictures(pets / "train/cat/deep", 1)


def suffixes(pets: Path) -> None:
    for number, suffix in enumerate((".jfif", ".JPEG", ".Jpe", ".PNG", ".ppm")):
        pictures(pets / "train/cat", 1, suffix, mark=str(number))
    (pets / "train/cat/notes.txt").touch()
    (pets / "train/cat/png").touch()


def folder_called_like_an_image(pets: Path) -> None:
    pictures(pets / "train/cat/x.bmp", 1)
    (pets / "train/cat/y.bmp").mkdir()


def undecodable_name(pets: Path) -> None:
    (pets / "train/cat/0.bmp").rename(pets / "train/cat" / os.fsdecode(b"\xff\x1b[2J.bmp"))


def absent_from_the_test_images(pets: Path) -> None:
    for file in (pets / "val/cat").iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("change", "cat", "dog"),
    [
        (lambda pets: None, 4, 4),
        (folder_link, 7, 4),
        (two_links, 7, 4),
        (file_links, 6, 4),
        (loops, 4, 4),
        (long_loop, 7, 4),
        (linked_folder_that_leads_up, 7, 4),
        (link_into_another_class, 4, 5),
        (hidden, 5, 4),
        (suffixes, 9, 4),
        (folder_called_like_an_image, 5, 4),
        (undecodable_name, 4, 4),
        (absent_from_the_test_images, 4, 4),
    ],
)
def test_planning_and_training_see_the_same_images(
    pets: Path, change: Callable[[Path], None], cat: int, dog: int
) -> None:
    change(pets)
    assert counts(pets) == {"cat": cat, "dog": dog}


def test_a_class_may_be_a_link(pets: Path) -> None:
    class_link(pets)
    assert counts(pets) == {"cat": 4, "dog": 4, "emu": 3}


def broken_link(pets: Path) -> None:
    link(pets, "train/cat/x.bmp", "nowhere.bmp")


def link_to_itself(pets: Path) -> None:
    link(pets, "train/cat/more", "more")


def class_of_the_test_images_alone(pets: Path) -> None:
    pictures(pets / "val/emu", 1)


def empty_class(pets: Path) -> None:
    (pets / "train/emu").mkdir()
    (pets / "train/emu/x.txt").touch()


def no_test_images(pets: Path) -> None:
    for file in (pets / "val").rglob("*.bmp"):
        file.unlink()


def one_folder_of_two_classes(pets: Path) -> None:
    folder_link(pets)
    link(pets, "train/dog/more", pets.parent / "more")


def two_names_of_a_class(pets: Path) -> None:
    link(pets, "train/kitten", "cat")


def class_that_leads_up(pets: Path) -> None:
    link(pets, "train/all", "..")


def pipe(pets: Path) -> None:
    os.mkfifo(pets / "train/cat/x.bmp")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (broken_link, r"train/cat/x\.bmp is a link that leads nowhere"),
        (link_to_itself, r"train/cat/more is a link that leads nowhere"),
        (class_of_the_test_images_alone, r"val: emu are no classes of \S*/train\."),
        (empty_class, r"train: no images in emu\. Remove the folder, or add images \(\.jpg, .*\.jfif"),
        (no_test_images, r"val: no images in any class\."),
        (one_folder_of_two_classes, r"cat/more and \S*dog/more are one folder: its images would be of two classes"),
        (two_names_of_a_class, r"train/cat and \S*train/kitten are one folder"),
        (class_that_leads_up, r"train: no images in all\."),
        (pipe, r"cat/x\.bmp is no file, though it is called like an image"),
    ],
)
def test_planning_and_training_refuse_the_same_folders(pets: Path, change: Callable[[Path], None], said: str) -> None:
    change(pets)
    with pytest.raises(UnfitError, match=said):
        planned(pets)
    with pytest.raises(DataError, match=said):
        load(DataSet("images"), pets.parent, "pets")


def test_what_cannot_be_read_is_named(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def denied(folder: str) -> Any:
        if folder.endswith("val/dog"):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(UnfitError, match=r"val/dog cannot be read: Permission denied\.$"):
        planned(pets)
    with pytest.raises(DataError, match=r"val/dog cannot be read: Permission denied\."):
        load(DataSet("images"), pets.parent, "pets")


def test_names_that_cannot_be_printed_are_spelled_out(pets: Path) -> None:
    (pets / "train/cat/0.bmp").write_bytes(b"no image")
    undecodable_name(pets)
    for file in (pets / "train/cat").glob("[123].bmp"):
        file.unlink()
    said = r"train/cat/\\xff\\x1b\[2J\.bmp cannot be read as an image"
    with pytest.raises(UnfitError, match=said):
        planned(pets)
    with pytest.raises(DataError, match=said):
        load(DataSet("images"), pets.parent, "pets")


def test_what_is_unusual_is_said(pets: Path) -> None:
    assert planned(pets).notes == ()
    absent_from_the_test_images(pets)
    (pets / "test").mkdir()
    for name in ("train/cat/a.avif", "train/cat/b.AVIF", "val/dog/labels"):
        (pets / name).touch()
    other, absent, left_out = planned(pets).notes
    assert other.endswith("pets: val/ is the test set, test/ is left alone.")
    assert absent.endswith("pets/val has no images of cat.")
    assert "3 files are left out" in left_out and left_out.endswith(": 2 .avif, 1 (none).")
    (pets / "train/cat/a.avif").unlink()
    (pets / "train/cat/b.AVIF").unlink()
    assert "1 file is left out" in planned(pets).notes[2]


def test_images_in_no_class_folder_are_said(pets: Path) -> None:
    before = key(pets)
    pictures(pets / "train", 2)
    pictures(pets / "val", 1, ".JPG")
    (pets / "train/README.md").touch()
    assert key(pets) == before and counts(pets) == {"cat": 4, "dog": 4}
    train, val = planned(pets).notes
    assert train.endswith("pets/train: 2 images lie in no class folder, and are left out.")
    assert val.endswith("pets/val: 1 image lies in no class folder, and is left out.")


@pytest.mark.parametrize(
    ("link_at", "target", "said"),
    [
        ("val", "train", "train/cat and P/val/cat are one folder"),
        ("val/cat", "../train/cat", "train/cat and P/val/cat are one folder"),
        ("train/cat/more", "../../val/cat", "train/cat/more and P/val/cat are one folder"),
        ("val/dog/all", "../../train", "train/(cat|dog) and P/val/dog/all/(cat|dog) are one folder"),
        ("val/cat/9.bmp", "../../train/cat/0.bmp", "val/cat/9.bmp is a link into P/train/cat"),
        ("train/dog/9.bmp", "../../val/dog/0.bmp", "train/dog/9.bmp is a link into P/val/dog"),
    ],
)
def test_a_test_image_is_no_training_image(pets: Path, link_at: str, target: str, said: str) -> None:
    if (pets / link_at).exists():
        shutil.rmtree(pets / link_at)
    link(pets, link_at, target)
    with pytest.raises(UnfitError, match=f"{said.replace('P', str(pets))}: its images would be training and test"):
        planned(pets)
    with pytest.raises(DataError, match=f"{said.replace('P', str(pets))}: its images would be training and test"):
        load(DataSet("images"), pets.parent, "pets")


def test_test_images_that_are_training_images_by_content_are_said(pets: Path) -> None:
    shutil.copy(pets / "train/cat/0.bmp", pets / "val/cat/0.bmp")
    assert [note.partition(": ")[2] for note in planned(pets).notes] == ["1 of 4 test images is a training image, too."]
    (pets / "val/dog/0.bmp").unlink()
    os.link(pets / "train/dog/0.bmp", pets / "val/dog/0.bmp")
    assert planned(pets).notes[0].endswith(": 2 of 4 test images are training images, too.")
    counts(pets)


def test_grey_images_among_coloured_ones_become_coloured(pets: Path) -> None:
    Image.new("L", (4, 4), 9).save(pets / "train/cat/0.bmp")
    assert counts(pets) == {"cat": 4, "dog": 4} and planned(pets).shape == (3, 4, 4)
    assert resident(load(planned(pets).recipe, pets.parent, "pets").train_x)[0].eq(9).all()
    assert planned(pets, classes=[1]).shape == (3, 4, 4)


# --- the key


def key(folder: Path) -> str:
    return str(planned(folder).recipe.fingerprint)


def test_a_key_follows_the_content_not_the_size_or_the_time(pets: Path) -> None:
    before = key(pets)
    for file in pets.rglob("*.bmp"):
        os.utime(file, (1, 1))
    assert key(pets) == before
    cat, dog = pets / "train/cat/0.bmp", pets / "train/dog/0.bmp"
    cats, dogs = cat.read_bytes(), dog.read_bytes()
    cat.write_bytes(dogs), dog.write_bytes(cats)
    swapped = key(pets)
    assert swapped != before
    cat.write_bytes(cats), dog.write_bytes(dogs)
    assert key(pets) == before
    (pets / "val/cat/1.bmp").rename(pets / "val/cat/2.bmp")
    assert key(pets) not in (before, swapped)


def test_a_folder_that_changed_since_it_was_planned_is_refused(pets: Path) -> None:
    data = planned(pets)
    load(data.recipe, pets.parent, data.location)
    file = pets / "train/cat/0.bmp"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(DataError, match="pets has changed since it was planned: other images are there now"):
        load(data.recipe, pets.parent, data.location)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were hashed; all files are old enough to be remembered."""
    hashed: list[str] = []
    hash_of = content_hashes._hash_of

    def listening(folder: Path, file: content_hashes.File) -> tuple[bytes, bool]:
        hashed.append(file.path)
        return hash_of(folder, file)

    monkeypatch.setattr(content_hashes, "_hash_of", listening)
    monkeypatch.setattr(content_hashes, "SETTLED_NS", 0)
    return hashed


def test_a_second_plan_reads_no_image_and_a_third_what_has_changed(pets: Path, read: list[str]) -> None:
    before = key(pets)
    assert len(read) == 12
    assert key(pets) == before and len(read) == 12
    file = pets / "train/dog/3.bmp"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    os.utime(file, (1, 1))
    assert key(pets) != before and read[12:] == ["dog/3.bmp"]


def test_what_changed_a_moment_before_it_was_read_is_read_again(
    pets: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_hashes, "SETTLED_NS", 3600 * 10**9)
    assert key(pets) == key(pets) and len(read) == 24


@pytest.mark.parametrize("damage", [b"", b"torn", None])
def test_a_damaged_cache_is_no_harm(pets: Path, cache: Path, read: list[str], damage: bytes | None) -> None:
    before = key(pets)
    for file in (file for file in (cache / "contents").iterdir() if not file.suffix):
        data = file.read_bytes()
        flipped = data[:-70] + bytes([data[-70] ^ 1]) + data[-69:]
        file.write_bytes(flipped if damage is None else damage)
    assert key(pets) == before and len(read) == 24
    assert key(pets) == before and len(read) == 24, "it was made anew"


def test_a_cache_folder_that_cannot_be_written_is_no_error(pets: Path, cache: Path) -> None:
    before = key(pets)
    for file in (cache / "contents").iterdir():
        file.unlink()
    (cache / "contents").rmdir()
    (cache / "contents").touch()
    assert key(pets) == before


def test_who_asks_at_the_same_time_waits_for_the_first(pets: Path, cache: Path, read: list[str]) -> None:
    (cache / "contents").mkdir(parents=True)
    name = hashlib.sha256(os.fsencode(pets / "train")).hexdigest()
    left = cache / "contents" / f".part-{name}-of-a-killed-one"
    left.touch()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(key(pets))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(read) == 12 and not left.exists()


def test_a_plan_looks_at_a_folder_once(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    look, size_of = vars(planned_folders)["image_folder"], planned_folders.size_of

    def noted_look(folder: Path) -> Any:
        looks.append(folder.name)
        return look(folder)

    def noted_size(*of: Any) -> Any:
        looks.append(of[1])
        return size_of(*of)

    monkeypatch.setattr(planned_folders, "image_folder", noted_look)
    monkeypatch.setattr(planned_folders, "size_of", noted_size)
    once = ["pets", "train/cat/0.bmp", "train/dog/0.bmp"]
    with reading_once():
        assert planned(pets).recipe == planned(pets).recipe
    assert looks == once
    planned(pets)
    assert looks == once * 2
