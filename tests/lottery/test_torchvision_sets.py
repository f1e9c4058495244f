"""The published sets as torchvision's own classes read them, from small files in exactly their layouts."""

import dataclasses
import functools
import hashlib
import http.server
import pickle
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image
from torch import Tensor
from torchvision import datasets

from pipeline.lottery import published_data
from pipeline.lottery.data import DataError, load
from pipeline.lottery.data.preparing import prepare
from pipeline.lottery.locations import Folder
from pipeline.lottery.published_data import IMAGENET_STATISTICS, PUBLISHED
from pipeline.recipes.datasets import DataSet

RANDOM = np.random.default_rng(0)


def resident(pixels: object) -> Tensor:
    """Of a small set: all in memory."""
    assert isinstance(pixels, Tensor)
    return pixels


@pytest.fixture
def holds(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, int], None]:
    """`holds(name, train, test)`: the published set has so few images."""

    def patch(name: str, train: int, test: int) -> None:
        small = dataclasses.replace(PUBLISHED[name], images=train, test_images=test)
        monkeypatch.setitem(published_data.PUBLISHED, name, small)

    return patch


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def write_cifar(root: Path, name: str, monkeypatch: pytest.MonkeyPatch, key: str = "labels") -> dict[str, Any]:
    """Four images in each file, their MD5 sums in torchvision's tables; what was written, by file."""
    dataset = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    written: dict[str, Any] = {}
    for table in ("train_list", "test_list"):
        sums = []
        for file, _ in getattr(dataset, table):
            pixels, labels = RANDOM.integers(0, 256, (4, 3072), dtype=np.uint8), [0, 1, 2, len(written) % 3]
            (folder / file).write_bytes(pickle.dumps({"data": pixels, key: labels}))
            written[file] = pixels.reshape(4, 3, 32, 32), labels
            sums.append([file, md5(folder / file)])
        monkeypatch.setattr(dataset, table, sums)
    meta = folder / dataset.meta["filename"]
    meta.write_bytes(pickle.dumps({dataset.meta["key"]: ["a", "b", "c"]}))
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": md5(meta)})
    return written


Holds = Callable[[str, int, int], None]


@pytest.mark.parametrize(("name", "key", "files"), [("cifar10", "labels", 5), ("cifar100", "fine_labels", 1)])
def test_cifar_is_read_from_torchvisions_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holds: Holds, name: str, key: str, files: int
) -> None:
    written = write_cifar(tmp_path, name, monkeypatch, key)
    holds(name, 4 * files, 4)
    images = load(DataSet(name), tmp_path)
    *train, test = written.values()
    assert torch.equal(resident(images.train_x), torch.from_numpy(np.concatenate([pixels for pixels, _ in train])))
    assert images.train_y.tolist() == [label for _, labels in train for label in labels]
    assert torch.equal(resident(images.test_x), torch.from_numpy(test[0])) and images.classes == 3


def test_a_damaged_batch_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holds: Holds
) -> None:
    write_cifar(tmp_path, "cifar10", monkeypatch)
    holds("cifar10", 20, 4)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"(?s)cifar-10-batches-py cannot be read: .*corrupted.*Delete what is damaged"):
        load(DataSet("cifar10"), tmp_path)


def test_svhn_is_read_with_ten_as_zero_and_channels_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holds: Holds
) -> None:
    (tmp_path / "svhn").mkdir()
    pixels, labels = RANDOM.integers(0, 256, (32, 32, 3, 6), dtype=np.uint8), np.array([[1], [10], [2], [3], [4], [5]])
    tables = dict(datasets.SVHN.split_list)
    for part in ("train", "test"):
        file = tmp_path / "svhn" / f"{part}_32x32.mat"
        scipy.io.savemat(file, {"X": pixels, "y": labels})
        tables[part] = [*tables[part][:2], md5(file)]
    monkeypatch.setattr(datasets.SVHN, "split_list", tables)
    holds("svhn", 6, 6)
    images = load(DataSet("svhn"), tmp_path)
    assert images.train_y.tolist() == [1, 0, 2, 3, 4, 5]
    assert torch.equal(resident(images.test_x), torch.from_numpy(pixels.transpose(3, 2, 0, 1)))


def picture(file: Path, size: tuple[int, int], grey: bool = False) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = RANDOM.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert("L" if grey else "RGB").save(file, "JPEG")


def write_imagenet(root: Path) -> None:
    folder = root / "imagenet"
    for part, count in (("train", 2), ("val", 1)):
        for wnid in ("n02", "n01"):
            for number in range(count):
                picture(folder / part / wnid / f"{wnid}_{number}.JPEG", (300, 280), grey=wnid == "n01")
    torch.save(({"n01": ("tench",), "n02": ("goldfish", "carp")}, ["n01", "n02"]), folder / "meta.bin")


@pytest.mark.parametrize("mode", ["resident", "streaming"])
def test_imagenet_is_stored_as_the_middle_square_and_seen_at_224(tmp_path: Path, holds: Holds, mode: str) -> None:
    from torchvision.transforms.v2 import functional

    write_imagenet(tmp_path)
    holds("imagenet", 4, 2)
    images = load(DataSet("imagenet"), tmp_path, images=mode)
    assert images.train_x.shape == (4, 3, 256, 256) and images.size == (224, 224)
    assert images.train_y.tolist() == [0, 0, 1, 1] and images.test_y.tolist() == [0, 1]
    assert images.mean.tolist() == pytest.approx(IMAGENET_STATISTICS[0])
    assert images.std.tolist() == pytest.approx(IMAGENET_STATISTICS[1])
    test = images.test_x if isinstance(images.test_x, Tensor) else images.test_x.read([0, 1])
    opened = functional.pil_to_tensor(Image.open(tmp_path / "imagenet" / "val" / "n02" / "n02_0.JPEG"))
    assert torch.equal(test[1], functional.center_crop(functional.resize(opened, [256], antialias=True), [256]))
    assert torch.equal(test[0, 0], test[0, 2]), "grey pictures have three channels"
    small = load(DataSet("imagenet", resize=32, crop=28, classes=(1,)), tmp_path, images=mode)
    assert small.train_x.shape == (2, 3, 32, 32) and small.size == (28, 28)


def test_what_is_hidden_in_imagenet_is_no_class_and_no_image(tmp_path: Path, holds: Holds) -> None:
    write_imagenet(tmp_path)
    holds("imagenet", 4, 2)
    expected = load(DataSet("imagenet"), tmp_path)
    picture(tmp_path / "imagenet" / "train" / ".ipynb_checkpoints" / "x.JPEG", (300, 280))
    picture(tmp_path / "imagenet" / "train" / "n01" / "._n01_0.JPEG", (300, 280))
    (tmp_path / "imagenet" / "val" / "n02" / ".DS_Store").touch()
    found = load(DataSet("imagenet"), tmp_path)
    assert found.train_y.tolist() == expected.train_y.tolist() and found.classes == 2
    assert torch.equal(torch.as_tensor(found.train_x), torch.as_tensor(expected.train_x))


def test_pictures_of_published_sets_are_not_turned_for_torchvision_does_not_either(
    tmp_path: Path, holds: Holds
) -> None:
    write_imagenet(tmp_path)
    holds("imagenet", 4, 2)
    expected = load(DataSet("imagenet"), tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    for file in (tmp_path / "imagenet").rglob("*.JPEG"):
        data = file.read_bytes()
        length = (len(exif.tobytes()) + 2).to_bytes(2, "big")
        file.write_bytes(data[:2] + b"\xff\xe1" + length + exif.tobytes() + data[2:])
        assert Image.open(file).getexif()[0x0112] == 6
    prepare(DataSet("imagenet"), tmp_path, None, Folder(str(tmp_path / "shards")))
    for location in (None, "shards"):
        found = load(DataSet("imagenet"), tmp_path, location)
        assert torch.equal(torch.as_tensor(found.train_x), torch.as_tensor(expected.train_x))


def test_places365_is_read_at_256_by_torchvisions_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holds: Holds
) -> None:
    folder = tmp_path / "places365"
    for file in ("data_256_standard/a/attic/1.jpg", "data_256_standard/b/beach/1.jpg", "val_256/Places365_val_1.jpg"):
        picture(folder / file, (256, 256))
    lists = {
        "categories_places365.txt": "/a/attic 0\n/b/beach 1\n",
        "places365_train_standard.txt": "/b/beach/1.jpg 1\n/a/attic/1.jpg 0\n",
        "places365_val.txt": "Places365_val_1.jpg 1\n",
    }
    for name, text in lists.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(
        datasets.Places365,
        "_CATEGORIES_META",
        ("categories_places365.txt", md5(folder / "categories_places365.txt")),
    )
    sums = {"train-standard": "places365_train_standard.txt", "val": "places365_val.txt"}
    monkeypatch.setattr(
        datasets.Places365, "_FILE_LIST_META", {part: (file, md5(folder / file)) for part, file in sums.items()}
    )
    holds("places365", 2, 1)
    images = load(DataSet("places365"), tmp_path)
    assert isinstance(images.train_x, Tensor)
    assert images.train_y.tolist() == [1, 0] and images.size == (224, 224)
    first = np.asarray(Image.open(folder / "data_256_standard/b/beach/1.jpg"))
    assert np.array_equal(images.train_x[0].permute(1, 2, 0).numpy(), first)


def test_a_set_that_was_unpacked_in_part_is_refused(tmp_path: Path, holds: Holds) -> None:
    write_imagenet(tmp_path)
    holds("imagenet", 5, 2)
    with pytest.raises(DataError, match="imagenet has 5 training and 2 test images, but 4 and 2 are there"):
        load(DataSet("imagenet"), tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("imagenet", ["imagenet: missing meta.bin, train, val", "ILSVRC2012_img_train.tar", "d.ImageNet("]),
        ("places365", ["places365: missing categories_places365.txt", "d.Places365(", "small=True, download=True"]),
        ("svhn", ["svhn: missing train_32x32.mat, test_32x32.mat", "could not download", "d.SVHN("]),
        ("cifar10", ["cifar-10-batches-py: missing data_batch_1", "could not download", "d.CIFAR10("]),
    ],
)
def test_missing_files_are_named_with_their_place_and_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: list[str]
) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar.tar.gz")
    tables = {part: ["http://127.0.0.1:9/x.mat", *rest] for part, (_, *rest) in datasets.SVHN.split_list.items()}
    monkeypatch.setattr(datasets.SVHN, "split_list", tables)
    with pytest.raises(DataError) as raised:
        load(DataSet(name), tmp_path)
    message = str(raised.value)
    assert all(part in message for part in [*said, str(tmp_path), "TICKETS_DATA", f"tickets prepare {name}"])
    assert not list(tmp_path.glob("download-*"))


def test_what_torchvision_downloads_is_put_where_it_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holds: Holds
) -> None:
    write_cifar(tmp_path / "server", "cifar100", monkeypatch, "fine_labels")
    archive = tmp_path / "server" / "cifar-100-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "server" / "cifar-100-python", "cifar-100-python")
    monkeypatch.setattr(datasets.CIFAR100, "tgz_md5", md5(archive))
    holds("cifar100", 4, 4)
    files = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(archive.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets.CIFAR100, "url", f"http://127.0.0.1:{server.server_port}/{archive.name}")
        images = load(DataSet("cifar100"), tmp_path / "data")
        server.shutdown()
    assert len(images.train_x) == 4
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["cifar-100-python"]
