"""Data: real files become the same uint8 images every time; subsets, sizes and channels are what was asked for."""

import functools
import gzip
import hashlib
import http.server
import io
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import datasets
from torchvision.transforms.v2 import functional

from pipeline.lottery.data import DataError, ImageCache, Images, load
from pipeline.lottery.data import statistics as statistics_module
from pipeline.recipes.datasets import DataSet

NOWHERE = Path("no-data-root-is-needed")


def resident(pixels: object) -> Tensor:
    """Of a small set: all in memory."""
    assert isinstance(pixels, Tensor)
    return pixels


def digits(**fields: Any) -> Images:
    return load(DataSet("digits", **fields), NOWHERE)


def rows(x: Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in x}


def counts(labels: Tensor) -> list[int]:
    return torch.bincount(labels).tolist()


def picture(path: Path, size: tuple[int, int], mode: str = "RGB", value: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 255)).save(path)


# --- digits


def test_digits_are_scikit_learns_and_every_fifth_of_a_class_is_for_testing() -> None:
    from sklearn.datasets import load_digits

    original, images = load_digits(), digits()
    assert (
        resident(images.train_x).dtype == torch.uint8
        and resident(images.train_x).shape[1:] == (1, 8, 8)
        and images.classes == 10
    )
    assert len(images.train_x) + len(images.test_x) == 1797
    for label in range(10):
        of_class = [[round(v * 255 / 16) for v in x.flatten()] for x in original.images[original.target == label]]
        expected = [x for i, x in enumerate(of_class) if i % 5 == 4]
        assert resident(images.test_x)[images.test_y == label].flatten(1).tolist() == expected
        assert (images.train_y == label).sum() == len(of_class) - len(expected)


def test_statistics_are_of_the_training_images_in_use() -> None:
    images = digits(classes=[1, 7], half="b")
    pixels = resident(images.train_x).double() / 255
    assert images.mean.dtype == images.std.dtype == torch.float32 and images.mean.shape == (1,)
    assert images.mean.item() == pytest.approx(pixels.mean().item(), rel=1e-6)
    assert images.std.item() == pytest.approx(pixels.std(correction=0).item(), rel=1e-6)
    assert images.std.item() != pytest.approx(digits().std.item(), rel=1e-2)


def test_a_channel_that_never_varies_is_not_divided_by_zero() -> None:
    pixels = torch.stack([torch.full((5, 4, 4), 51), torch.arange(80).view(5, 4, 4)], dim=1).to(torch.uint8)
    mean, std = statistics_module.statistics(pixels)
    assert (
        mean[0] == pytest.approx(0.2) and std[0] > 0 and std[1] == pytest.approx((pixels[:, 1] / 255).std(correction=0))
    )


# --- subsets


def test_halves_are_disjoint_whole_balanced_and_keep_the_test_set() -> None:
    a, b, whole = digits(half="a"), digits(half="b"), digits()
    assert len(a.train_x) + len(b.train_x) == len(whole.train_x)
    assert rows(resident(a.train_x)) | rows(resident(b.train_x)) == rows(resident(whole.train_x))
    assert not rows(resident(a.train_x)) & rows(resident(b.train_x))
    assert counts(a.train_y) == [-(-n // 2) for n in counts(whole.train_y)]
    assert torch.equal(resident(a.test_x), resident(whole.test_x)) and torch.equal(b.test_y, whole.test_y)


def test_a_half_is_a_random_one_and_the_same_every_time() -> None:
    a, whole = digits(half="a", classes=[3]), digits(classes=[3])
    assert torch.equal(resident(a.train_x), resident(digits(half="a", classes=[3]).train_x))
    assert not torch.equal(resident(a.train_x), resident(whole.train_x)[: len(resident(a.train_x))])
    assert not torch.equal(resident(a.train_x), resident(whole.train_x)[::2])


def test_leaving_classes_out_does_not_change_the_halves_of_the_others() -> None:
    some, everything = digits(half="a", classes=[8, 2]), digits(half="a")
    assert rows(resident(some.train_x)[some.train_y == 0]) == rows(
        resident(everything.train_x)[everything.train_y == 8]
    )


def test_kept_classes_are_relabelled_in_their_order() -> None:
    images, whole = digits(classes=[7, 3]), digits()
    assert images.classes == 2
    assert torch.equal(resident(images.train_x)[images.train_y == 0], resident(whole.train_x)[whole.train_y == 7])
    assert torch.equal(resident(images.test_x)[images.test_y == 1], resident(whole.test_x)[whole.test_y == 3])
    assert set(images.train_y.tolist()) == set(images.test_y.tolist()) == {0, 1}


def test_n_per_class_nest_and_come_out_of_the_half() -> None:
    five, ten, half = (digits(half="a", per_class=5), digits(half="a", per_class=10), digits(half="a"))
    assert counts(five.train_y) == [5] * 10 and counts(ten.train_y) == [10] * 10
    assert rows(resident(five.train_x)) < rows(resident(ten.train_x)) < rows(resident(half.train_x))
    assert torch.equal(resident(five.test_x), resident(half.test_x))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": [0, 10]}, "must be different labels of 0..9"),
        ({"classes": [1, 1]}, "must be different labels"),
        ({"classes": []}, "at least one"),
        ({"per_class": 10_000}, "10,000 images are asked of class 0, which has"),
        ({"crop": 9}, "crop: 9 does not fit into an image of 8x8"),
    ],
)
def test_subsets_that_cannot_be_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        digits(**fields)


def test_an_unknown_data_set_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(LookupError, match="Did you mean 'digits'"):
        load(DataSet("digit"), NOWHERE)


# --- sizes and channels


def test_grey_is_repeated_to_three_channels_pixel_by_pixel() -> None:
    grey, colour = digits(), digits(channels=3)
    assert (
        resident(colour.train_x).shape[1:] == (3, 8, 8)
        and resident(colour.train_x).is_contiguous()
        and colour.mean.shape == (3,)
    )
    assert all(torch.equal(resident(colour.train_x)[:, c], resident(grey.train_x)[:, 0]) for c in range(3))


def test_resize_then_crop_then_channels() -> None:
    images, native = digits(resize=16, crop=12, channels=3), digits()
    expected = functional.resize(native.test_x, [16, 16], antialias=True)[:, :, 2:14, 2:14]
    assert torch.equal(resident(images.test_x), expected.repeat(1, 3, 1, 1))


def test_a_margin_keeps_pixels_around_the_crop_which_only_training_sees() -> None:
    images, native = digits(crop=4, margin=1), digits()
    assert (images.train_x.shape[2:], images.seen) == ((6, 6), (4, 4))
    assert torch.equal(resident(images.train_x), resident(native.train_x)[:, :, 1:7, 1:7])
    assert torch.equal(resident(images.test_x)[:, :, 1:5, 1:5], resident(native.test_x)[:, :, 2:6, 2:6])


def test_colour_is_not_made_into_other_channels(tmp_path: Path) -> None:
    for part in ("train", "val"):
        picture(tmp_path / part / "x" / "1.png", (4, 4))
    with pytest.raises(DataError, match="channels: 1 is asked of images with 3 channels"):
        load(DataSet("images", channels=1), tmp_path, ".")


# --- MNIST and Fashion-MNIST


def test_mnist_is_read_from_a_root_that_holds_archives_only(data_root: Path) -> None:
    images = load(DataSet("mnist"), data_root)
    assert images.train_x.shape == (60_000, 1, 28, 28) and images.test_x.shape == (10_000, 1, 28, 28)
    assert images.train_y[:5].tolist() == [5, 0, 4, 1, 9] and images.classes == 10
    assert images.mean.item() == pytest.approx(0.1307, abs=1e-4) and images.std.item() == pytest.approx(
        0.3081, abs=1e-4
    )


def test_fashion_mnist_is_another_set(data_root: Path) -> None:
    images = load(DataSet("fashion_mnist"), data_root)
    assert images.train_x.shape == (60_000, 1, 28, 28) and counts(images.test_y) == [1000] * 10
    assert images.mean.item() == pytest.approx(0.2860, abs=1e-4) and images.std.item() == pytest.approx(
        0.3530, abs=1e-4
    )


def test_unpacked_files_are_read_too_and_equal_torchvisions(data_root: Path, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for archive in (data_root / "MNIST" / "raw").glob("*.gz"):
        (raw / archive.stem).write_bytes(gzip.decompress(archive.read_bytes()))
    images, theirs = load(DataSet("mnist"), tmp_path), datasets.MNIST(tmp_path, train=False)
    assert torch.equal(resident(images.test_x)[:, 0], theirs.data) and torch.equal(images.test_y, theirs.targets)
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0")
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte is not a whole IDX file"):
        load(DataSet("mnist"), tmp_path)


def test_a_damaged_archive_is_named(data_root: Path, tmp_path: Path) -> None:
    shutil.copytree(data_root / "MNIST" / "raw", tmp_path / "MNIST" / "raw", copy_function=shutil.copyfile)
    damaged = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    content = bytearray(damaged.read_bytes())
    content[1000] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz is damaged: its MD5"):
        load(DataSet("mnist"), tmp_path)


def test_what_is_missing_is_downloaded_by_torchvision(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(data_root / "MNIST" / "raw"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        images = load(DataSet("mnist"), tmp_path / "new")
        server.shutdown()
    assert len(images.train_x) == 60_000
    left = sorted(path.relative_to(tmp_path / "new").as_posix() for path in (tmp_path / "new").rglob("*.gz"))
    assert left == sorted(f"MNIST/raw/{archive}" for archive, _ in datasets.MNIST.resources)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["MNIST"]


def test_without_files_and_network_the_error_says_what_goes_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataError) as raised:
        load(DataSet("fashion_mnist"), tmp_path)
    message = str(raised.value)
    assert str(tmp_path / "FashionMNIST" / "raw") in message and "TICKETS_DATA" in message
    assert all(archive in message for archive, _ in datasets.FashionMNIST.resources)


# --- Parquet


def test_parquet_images_are_the_pixels_that_pillow_sees(data_root: Path) -> None:
    images = load(DataSet("parquet", classes=(3, 5), per_class=40, half="b"), data_root, "cifar10")
    assert images.train_x.shape == (80, 3, 32, 32) and counts(images.test_y) == [1000, 1000]
    table = pq.read_table(data_root / "cifar10" / "test-00000-of-00002.parquet")
    labels = table["label"].to_pylist()
    first = next(i for i, label in enumerate(labels) if label in (3, 5))
    pixels = np.asarray(Image.open(io.BytesIO(table["image"][first].as_py()["bytes"])).convert("RGB"))
    assert np.array_equal(resident(images.test_x)[0].permute(1, 2, 0).numpy(), pixels)
    assert images.test_y[0] == [3, 5].index(labels[first])


def test_a_parquet_set_may_be_anywhere_and_have_its_own_columns(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (5, 4), 200).save(stream, "PNG")
    table = pa.table({"img": [{"bytes": stream.getvalue(), "path": "x.png"}] * 3, "fine_label": [0, 1, 2]})
    pq.write_table(table, tmp_path / "train.parquet")
    pq.write_table(table, tmp_path / "validation-0.parquet")
    images = load(DataSet("parquet", image="img", label="fine_label"), NOWHERE, str(tmp_path))
    assert (
        resident(images.train_x).shape == (3, 1, 4, 5)
        and resident(images.train_x).eq(200).all()
        and images.classes == 3
    )
    with pytest.raises(DataError, match="has no column 'image'; set `image:` to one of img, fine_label"):
        load(DataSet("parquet"), NOWHERE, str(tmp_path))
    with pytest.raises(DataError, match="'fine_label' is int64"):
        load(DataSet("parquet", image="fine_label", label="fine_label"), NOWHERE, str(tmp_path))


def test_a_parquet_folder_without_its_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no train part. Expected"):
        load(DataSet("parquet"), tmp_path, ".")
    with pytest.raises(DataError, match="elsewhere is not a folder"):
        load(DataSet("parquet"), tmp_path, "elsewhere")
    (tmp_path / "train.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "test.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"train\.parquet cannot be read as Parquet"):
        load(DataSet("parquet"), tmp_path, ".")


def test_a_damaged_picture_is_named_by_file_and_row(tmp_path: Path) -> None:
    table = pa.table({"image": [{"bytes": b"no image", "path": None}], "label": [0]})
    for part in ("train", "test"):
        pq.write_table(table, tmp_path / f"{part}.parquet")
    with pytest.raises(DataError, match=r"train\.parquet, row 0 cannot be read as an image"):
        load(DataSet("parquet"), tmp_path, ".")


# --- image folders


def test_an_image_folder_is_labelled_by_its_class_folders(data_root: Path) -> None:
    images = load(DataSet("images", resize=48, crop=32), data_root, "imagenette")
    theirs = datasets.ImageFolder(str(data_root / "imagenette" / "val"))
    assert images.test_y.tolist() == theirs.targets and images.classes == 10
    native = functional.pil_to_tensor(theirs[25][0])
    assert torch.equal(resident(images.test_x)[25], functional.resize(native, [48], antialias=True)[:, 8:40, 8:40])
    assert images.train_x.shape == (600, 3, 32, 32)


def test_pictures_of_different_sizes_need_a_resize_and_a_crop(tmp_path: Path) -> None:
    for part in ("train", "test"):
        picture(tmp_path / part / "a" / "1.png", (20, 10))
        picture(tmp_path / part / "b" / "2.jpg", (12, 30))
    with pytest.raises(DataError, match=r"b/2\.jpg is \[3, 30, 12\].*1\.png is \[3, 10, 20\].*Set `resize` and `crop`"):
        load(DataSet("images"), tmp_path, ".")
    assert load(DataSet("images", resize=8, crop=8), tmp_path, ".").train_x.shape == (2, 3, 8, 8)


def test_a_grey_picture_in_a_coloured_set_is_repeated(tmp_path: Path) -> None:
    for part in ("train", "val"):
        picture(tmp_path / part / "a" / "1.png", (4, 4))
        picture(tmp_path / part / "a" / "2.png", (4, 4), "L", 77)
    assert resident(load(DataSet("images"), tmp_path, ".").train_x)[1].eq(77).all()


def test_what_is_wrong_with_an_image_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lacks train/"):
        load(DataSet("images"), tmp_path, ".")
    picture(tmp_path / "train" / "a" / "1.png", (4, 4))
    with pytest.raises(DataError, match="lacks val/ or test/"):
        load(DataSet("images"), tmp_path, ".")
    picture(tmp_path / "val" / "b" / "1.png", (4, 4))
    with pytest.raises(DataError, match="b are no classes of"):
        load(DataSet("images"), tmp_path, ".")
    (tmp_path / "train" / "b").mkdir()
    with pytest.raises(DataError, match="no images in b"):
        load(DataSet("images"), tmp_path, ".")


# --- a user's own


def user_data(tmp_path: Path, body: str) -> tuple[dict[str, Any], str]:
    file = tmp_path / "my_data.py"
    file.write_text(f"import numpy as np\n\ndef mine(root):\n    {body}\n")
    return {"name": "user", "function": "mine", "source": hashlib.sha256(file.read_bytes()).hexdigest()}, str(file)


def test_a_users_function_gives_the_images_and_subsets_apply_to_them(tmp_path: Path) -> None:
    arrays = "np.arange(36 * 4, dtype=np.uint8).reshape(36, 1, 2, 2), np.arange(36) % 3"
    fields, file = user_data(tmp_path, f"return {arrays}, {arrays}")
    images = load(DataSet.from_fields({**fields, "classes": [2, 0], "per_class": 4, "channels": 3}), tmp_path, file)
    assert (
        images.train_x.shape == (8, 3, 2, 2) and counts(images.train_y) == [4, 4] and counts(images.test_y) == [12, 12]
    )
    assert resident(images.test_x)[images.test_y == 0][0, 0].flatten().tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1", r"my_data\.py:mine must return \(train_x, train_y, test_x, test_y\), not int"),
        (
            "return (np.zeros((2, 1, 4, 4)), np.zeros(2, int)) * 2",
            r"images must be uint8 \[N, C, H, W\], not torch.float64",
        ),
        ("return (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(3, int)) * 2", "labels must be 2 integers"),
        ("return (np.zeros((2, 1, 4, 4), np.uint8), np.array([0, -1])) * 2", "there is a label -1"),
        ("raise OSError('disk on fire')", "failed: OSError: disk on fire"),
    ],
)
def test_mistakes_in_a_users_function_are_named(tmp_path: Path, body: str, message: str) -> None:
    fields, file = user_data(tmp_path, body)
    with pytest.raises(DataError, match=message):
        load(DataSet.from_fields(fields), tmp_path, file)


# --- the cache


def test_the_cache_answers_the_same_fields_from_memory_and_never_exceeds_its_limit() -> None:
    one = digits(classes=[1]).nbytes
    cache = ImageCache(NOWHERE, limit_bytes=int(2.5 * one))

    def get(label: int) -> Images:
        return cache.get(DataSet("digits", classes=(label,)))

    first, second = get(1), get(2)
    assert get(1) is first and get(2) is second
    get(1)
    get(3)
    assert cache.nbytes <= 2.5 * one
    assert get(1) is first, "the least recently used goes first"
    assert get(2) is not second


def test_a_set_larger_than_the_cache_is_loaded_and_displaces_nothing() -> None:
    cache = ImageCache(NOWHERE, limit_bytes=digits(classes=[1]).nbytes)
    kept = cache.get(DataSet("digits", classes=(1,)))
    assert len(cache.get(DataSet("digits")).train_x) == 1442
    assert cache.get(DataSet("digits", classes=(1,))) is kept
