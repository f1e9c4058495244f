"""Small NORB, from files in exactly the published format: whole ones are read, and each damage is told."""

import dataclasses
import gzip
import itertools
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import results
from pipeline.cli import main
from pipeline.engine.driver import Listener, RunOptions, run
from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load as load_grid
from pipeline.lottery import published_data
from pipeline.lottery.data import DataError, load
from pipeline.lottery.data.geometry import Geometry
from pipeline.lottery.data.smallnorb import smallnorb
from pipeline.lottery.published_data import PUBLISHED
from pipeline.recipes.datasets import DataSet

TRAIN, TEST = "smallnorb-5x46789x9x18x6x2x96x96-training", "smallnorb-5x01235x9x18x6x2x96x96-testing"
TOYS = {TRAIN: (4, 6, 7, 8, 9), TEST: (0, 1, 2, 3, 5)}
BYTES, INTEGERS = 0x1E3D4C55, 0x1E3D4C54
Array = NDArray[Any]


def resident(pixels: object) -> Tensor:
    """Of a small set: all in memory."""
    assert isinstance(pixels, Tensor)
    return pixels


def matrix(values: Array, magic: int | None = None, sizes: tuple[int, ...] | None = None) -> bytes:
    """As the data set's page describes it: a header of three sizes at least, then the values."""
    sizes = values.shape if sizes is None else sizes
    kind = BYTES if values.dtype == np.uint8 else INTEGERS
    padded = (*sizes, *(1,) * (3 - len(sizes)))
    return struct.pack(f"<{2 + len(padded)}i", magic or kind, len(sizes), *padded) + values.tobytes()


def described(part: str, elevations: int, azimuths: int, lights: int) -> tuple[Array, Array]:
    """Labels [N] and toy, elevation, azimuth and lighting [N, 4] of every view once, kinds changing fastest."""
    views = itertools.product(TOYS[part], range(elevations), range(0, 2 * azimuths, 2), range(lights), range(5))
    rows = np.array(list(views), dtype="<i4")
    return rows[:, 4].copy(), rows[:, :4].copy()


def write(root: Path, files: dict[str, bytes]) -> None:
    (root / "smallnorb").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / "smallnorb" / f"{name}.mat.gz").write_bytes(gzip.compress(content, 1))


@pytest.fixture
def norb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Array]:
    """Two views of each toy in place of 972, in files below `tmp_path`; the pixels of both cameras by part."""
    small = dataclasses.replace(PUBLISHED["smallnorb"], images=50, test_images=50, counts=(10,) * 5)
    monkeypatch.setitem(published_data.PUBLISHED, "smallnorb", small)
    pixels = {}
    for part in TOYS:
        labels, views = described(part, 1, 2, 1)
        pixels[part] = np.random.default_rng(len(part)).integers(0, 256, (50, 2, 96, 96), dtype=np.uint8)
        files = {f"{part}-dat": pixels[part], f"{part}-cat": labels, f"{part}-info": views}
        write(tmp_path, {name: matrix(values) for name, values in files.items()})
    return pixels


@pytest.fixture
def give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Give a command in this process, in `tmp_path`; its exit code."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["tickets", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return command


def test_the_left_images_are_read_with_their_labels_packed_or_not(tmp_path: Path, norb: dict[str, Array]) -> None:
    images = load(DataSet("smallnorb"), tmp_path)
    assert torch.equal(resident(images.train_x), torch.from_numpy(norb[TRAIN][:, :1]))
    assert torch.equal(resident(images.test_x), torch.from_numpy(norb[TEST][:, :1]))
    assert images.train_y.tolist() == images.test_y.tolist() == [0, 1, 2, 3, 4] * 10 and images.classes == 5
    for file in (tmp_path / "smallnorb").iterdir():
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    unpacked = load(DataSet("smallnorb"), tmp_path)
    assert torch.equal(resident(unpacked.train_x), resident(images.train_x)) and torch.equal(
        unpacked.test_y, images.test_y
    )


def test_images_are_resized_as_the_grid_says(tmp_path: Path, norb: dict[str, Array]) -> None:
    images = load(DataSet("smallnorb", resize=32, channels=3), tmp_path)
    assert images.train_x.shape == (50, 3, 32, 32)
    alone = Geometry(resize=32)(torch.from_numpy(norb[TRAIN][7, :1]))
    assert all(torch.equal(resident(images.train_x)[7, channel], alone[0]) for channel in range(3))


def test_files_of_the_published_size_are_read_without_keeping_the_right_images(tmp_path: Path) -> None:
    header = struct.pack("<6i", BYTES, 4, 24_300, 2, 96, 96)
    images = gzip.compress(header) + 10 * gzip.compress(bytes(2430 * 2 * 96 * 96), 1)
    for part in TOYS:
        labels, views = described(part, 9, 18, 6)
        write(tmp_path, {f"{part}-cat": matrix(labels), f"{part}-info": matrix(views)})
        (tmp_path / "smallnorb" / f"{part}-dat.mat.gz").write_bytes(images)
    tracemalloc.start()
    raw = smallnorb(DataSet("smallnorb"), tmp_path, None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert raw.train.labels.bincount().tolist() == raw.test.labels.bincount().tolist() == [4860] * 5
    assert raw.train.source.read([0, 24_299], Geometry()).shape == (2, 1, 96, 96)
    assert peak < 1.1 * 48_600 * 96 * 96


GRID = """
name: toys
model: {name: convnet, width: 2}
seeds: [0]
training: {optimizer: {name: sgd, lr: 0.05}, batch_size: 10, length: 2ep}
prune: {rate: 0.5, rounds: 1, rewind: 1it}
sources: [{dataset: {name: smallnorb, resize: 32, half: a}}, {dataset: {name: smallnorb, resize: 32, half: b}}]
"""


def test_a_convnet_is_trained_on_it_from_grid_to_results(
    tmp_path: Path, norb: dict[str, Array], unheard: Listener
) -> None:
    """Halves of it as sources and targets, as any other data set."""
    (tmp_path / "toys.yaml").write_text(GRID)
    grid = expand(load_grid(tmp_path / "toys.yaml"), tmp_path)
    assert run(grid, RunOptions(str(tmp_path / "store"), tmp_path, local=True), unheard).exit_code == 0
    table = results("toys", store=str(tmp_path / "store"))
    last = table[(table["ticket"] == "winning") & (table["round"] == 1)]
    halves = ("smallnorb-a", "smallnorb-b")
    assert sorted(zip(last["source"], last["target"], strict=True)) == list(itertools.product(halves, halves))
    assert last["test_accuracy"].between(0, 1).all() and last["fraction_pruned"].between(0.4, 0.5).all()


def test_prepare_copies_it_and_a_grid_reads_the_same_images(
    tmp_path: Path, norb: dict[str, Array], give: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert give("prepare", "smallnorb", "copy", "--data", str(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "50 training and 50 test images in 2 shards" in said
    assert f"in a grid: dataset: {{name: smallnorb, prepared: '{tmp_path / 'copy'}'}}" in said
    fields = {"name": "smallnorb", "half": "b", "resize": 32}
    published = load(DataSet.from_fields(fields), tmp_path)
    copied = load(DataSet.from_fields(fields), tmp_path / "nothing else", str(tmp_path / "copy"))
    for name in ("train_x", "train_y", "test_x", "test_y", "mean", "std"):
        assert torch.equal(getattr(copied, name), getattr(published, name))


LABELS, VIEWS = described(TRAIN, 1, 2, 1)
IMAGES = np.zeros((50, 2, 96, 96), dtype=np.uint8)
SEEN_TWICE = np.where(np.arange(50)[:, None] == 5, VIEWS[0], VIEWS)
DAMAGES: dict[str, tuple[str, bytes, str]] = {
    "no matrix": ("dat", b"\x93NUMPY  " + bytes(100), "its magic number is 0x4d554e93, not 0x1e3d4c55"),
    "other values": ("cat", matrix(LABELS, magic=BYTES), "its magic number is 0x1e3d4c55, not 0x1e3d4c54"),
    "one camera": ("dat", matrix(IMAGES[:, 0]), "it has 3 dimensions, not 4"),
    "other images": ("dat", matrix(IMAGES, sizes=(50, 2, 108, 108)), "its size is 50x2x108x108, not 50x2x96x96"),
    "fewer labels": ("cat", matrix(LABELS[:45]), "its size is 45, not 50"),
    "no header": ("info", matrix(VIEWS)[:10], "it ends within its header"),
    "too short": ("dat", matrix(IMAGES)[:-5], "it ends 5 bytes too early"),
    "labels cut off": ("cat", matrix(LABELS)[:-4], "it ends 4 bytes too early"),
    "too long": ("dat", matrix(IMAGES) + b"\0", "there are bytes after the last value"),
    "a sixth kind": ("cat", matrix(np.where(LABELS == 4, 5, LABELS).astype("<i4")), "its labels are 0 to 5, not 0 to"),
    "a negative label": ("cat", matrix(np.where(LABELS == 4, -1, LABELS).astype("<i4")), "its labels are -1 to 3, not"),
    "unlike counts": ("cat", matrix(np.minimum(LABELS, 3)), "its classes have 10, 10, 10, 20, 0 images, not all as"),
    "other toys": ("info", matrix(described(TEST, 1, 2, 1)[1]), "its toys are 0, 1, 2, 3, 5, not 4, 6, 7, 8, 9 of"),
    "other labels": ("cat", matrix(np.sort(LABELS)), "with the labels beside it there are 10 different views, not 50"),
    "a view twice": ("info", matrix(SEEN_TWICE.astype("<i4")), "there are 49 different views, not 50"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_what_was_published_is_refused(tmp_path: Path, norb: dict[str, Array], damage: str) -> None:
    what, content, said = DAMAGES[damage]
    write(tmp_path, {f"{TRAIN}-{what}": content})
    with pytest.raises(DataError) as raised:
        load(DataSet("smallnorb"), tmp_path)
    message = str(raised.value)
    where = f"{TRAIN}-info.mat.gz" if damage == "other labels" else f"{TRAIN}-{what}.mat.gz"
    assert f"{tmp_path / 'smallnorb' / where} is damaged: " in message and said in message
    assert "Delete the file and get it again." in message


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda packed: packed[: len(packed) // 2], "cannot be unpacked"),
        (lambda packed: packed[:-8] + bytes(8), r"cannot be unpacked \(CRC check failed"),
        (lambda packed: packed[: len(packed) // 2] + bytes(40) + packed[len(packed) // 2 + 40 :], "cannot be unpacked"),
        (lambda packed: b"no archive", "cannot be unpacked"),
        (lambda packed: packed + b"more", "cannot be unpacked"),
    ],
    ids=["cut off", "checksum", "inside", "no archive", "padded"],
)
def test_a_damaged_archive_is_refused(
    tmp_path: Path, norb: dict[str, Array], spoil: Callable[[bytes], bytes], said: str
) -> None:
    file = tmp_path / "smallnorb" / f"{TEST}-dat.mat.gz"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(DataError, match=f"{TEST}-dat.mat.gz is damaged: it {said}"):
        load(DataSet("smallnorb"), tmp_path)


def test_missing_files_are_named_with_their_place_and_where_they_are_published(
    tmp_path: Path, norb: dict[str, Array]
) -> None:
    (tmp_path / "smallnorb" / f"{TEST}-cat.mat.gz").unlink()
    with pytest.raises(DataError) as raised:
        load(DataSet("smallnorb"), tmp_path)
    message = str(raised.value)
    where = tmp_path / "smallnorb"
    assert message.startswith(
        f"smallnorb is not complete in {where}: missing {TEST}-cat.mat.gz.\nPut the original files"
    )
    assert "NORB object recognition data set, small set, New York University" in message
    assert "torchvision.datasets" not in message
