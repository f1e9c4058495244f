"""A prepared data set is the same images in the same order, however often its making was interrupted."""

import dataclasses
import errno
import fcntl
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.lottery import published_data
from pipeline.lottery.data import DataError, Images, load, preparing
from pipeline.lottery.data.preparing import prepare
from pipeline.lottery.locations import Folder
from pipeline.lottery.published_data import PUBLISHED
from pipeline.recipes.datasets import DataSet

NOWHERE = Path("no-data-root-is-needed")


def same(first: Images, second: Images) -> bool:
    fields = [field.name for field in dataclasses.fields(Images)]
    return all(
        torch.equal(a, b) if isinstance(a, Tensor) else a == b
        for a, b in ((getattr(first, name), getattr(second, name)) for name in fields)
    )


def told(folder: Path, fields: dict[str, Any], root: Path, location: str | None = None, size: int = 10**6) -> list[str]:
    """What `prepare` says of each shard, its size left out."""
    said: list[str] = []
    prepare(DataSet.from_fields(fields), root, location, Folder(str(folder)), size, said.append)
    return [line.split(",")[0] for line in said]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    numbers = torch.Generator().manual_seed(0)
    for part, count in (("train", 5), ("val", 2)):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = torch.randint(0, 256, (14 + number, 20, 3), generator=numbers).byte().numpy()
                Image.fromarray(pixels).save(tmp_path / "pets" / part / name / f"{number}.jpg")
    return tmp_path / "pets"


def test_encoded_images_are_kept_as_they_are_in_the_layout_of_hugging_face(pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shards = told(out, {"name": "images"}, pets, ".", size=4000)
    assert shards == [
        "train-00000-of-00002.parquet: made",
        "train-00001-of-00002.parquet: made",
        "test-00000-of-00001.parquet: made",
    ]
    table = pq.read_table(sorted(out.glob("train-*.parquet")))
    assert str(table.schema.field("label").type) == "int64"
    assert json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]["image"] == {"_type": "Image"}
    files = sorted((pets / "train").rglob("*.jpg"))
    assert table["image"].to_pylist() == [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    assert same(
        load(DataSet("images", resize=12, crop=12), pets, "."), load(DataSet("parquet", resize=12, crop=12), out, ".")
    )


def test_arrays_and_resized_images_are_kept_without_loss(pets: Path, tmp_path: Path) -> None:
    fields: dict[str, Any] = {"name": "digits", "classes": [7, 2], "half": "a"}
    told(tmp_path / "digits", fields, NOWHERE)
    assert same(load(DataSet.from_fields(fields), NOWHERE), load(DataSet("parquet"), tmp_path / "digits", "."))
    fields = {"name": "images", "resize": 9, "crop": 8}
    told(tmp_path / "small", fields, pets, ".")
    assert same(load(DataSet.from_fields(fields), pets, "."), load(DataSet("parquet"), tmp_path / "small", "."))


def test_row_groups_are_small_enough_to_read_one_image(tmp_path: Path) -> None:
    told(tmp_path, {"name": "digits"}, NOWHERE)
    groups = pq.ParquetFile(tmp_path / "train-00000-of-00001.parquet").metadata
    assert groups.num_rows == 1442 and groups.row_group(0).num_rows == 100


def test_killed_in_the_middle_it_goes_on_after_the_shards_that_are_whole(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(tmp_path / "straight", {"name": "images"}, pets, ".", size=4000)
    out, put = tmp_path / "out", preparing._put

    def killed(folder: Folder, name: str, data: bytes) -> None:
        if name.startswith("train-00001"):
            (out / f".{name}.part").write_bytes(data[:100])
            raise KeyboardInterrupt
        put(folder, name, data)

    monkeypatch.setattr(preparing, "_put", killed)
    with pytest.raises(KeyboardInterrupt):
        told(out, {"name": "images"}, pets, ".", size=4000)
    assert not (out / "prepared.json").exists()
    with pytest.raises(DataError, match=r"has no prepared\.json: it is not prepared to its end"):
        load(DataSet("mnist"), tmp_path, "out")
    monkeypatch.setattr(preparing, "_put", put)
    assert told(out, {"name": "images"}, pets, ".", size=4000) == [
        "train-00000-of-00002.parquet: whole",
        "train-00001-of-00002.parquet: made",
        "test-00000-of-00001.parquet: made",
    ]
    files = {file.name: file.read_bytes() for file in out.iterdir()}
    assert files == {file.name: file.read_bytes() for file in (tmp_path / "straight").iterdir()}


def test_given_again_it_checks_every_shard_and_makes_damaged_ones_anew(pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told(out, {"name": "images"}, pets, ".")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    train, test = "train-00000-of-00001.parquet", "test-00000-of-00001.parquet"
    assert told(out, {"name": "images"}, NOWHERE, ".") == [f"{train}: whole", f"{test}: whole"]
    damaged = bytearray(before[train])
    damaged[500] ^= 1
    (out / train).write_bytes(damaged)
    (out / test).unlink()
    assert told(out, {"name": "images"}, pets, ".") == [
        f"{train}: damaged",
        f"{test}: missing",
        f"{train}: made",
        f"{test}: made",
    ]
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_a_folder_of_something_else_is_refused(pets: Path, tmp_path: Path) -> None:
    told(tmp_path / "out", {"name": "images"}, pets, ".")
    with pytest.raises(DataError, match=r'holds \{"name": "images"\}, not \{"name": "digits"\}'):
        told(tmp_path / "out", {"name": "digits"}, NOWHERE)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "train.parquet").touch()
    with pytest.raises(DataError, match=r"no part of this: train\.parquet"):
        told(tmp_path / "other", {"name": "digits"}, NOWHERE)
    assert (tmp_path / "other" / "train.parquet").exists()


def test_two_do_not_prepare_in_one_folder_at_once(tmp_path: Path) -> None:
    with (tmp_path / preparing.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="Another `tickets prepare` is at work"):
            told(tmp_path, {"name": "digits"}, NOWHERE)
    assert told(tmp_path, {"name": "digits"}, NOWHERE)


def test_a_file_system_without_locks_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlocked(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unlocked)
    assert len(told(tmp_path, {"name": "digits", "per_class": 1}, NOWHERE)) == 2


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Places far://... are on a file system that is not this machine's; the cache folder is empty."""
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    (tmp_path / "far" / "bucket").mkdir(parents=True)
    far = SubTreeFileSystem(str(tmp_path / "far"), LocalFileSystem())  # in place of an object store's
    opened = vars(Folder)["_opened"].func

    def elsewhere(self: Folder) -> tuple[Any, str]:
        return (far, self.place.removeprefix("far://")) if self.place.startswith("far://") else opened(self)

    monkeypatch.setattr(Folder, "_opened", property(elsewhere))
    monkeypatch.setenv("TICKETS_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("far")
def test_shards_go_to_and_stream_from_a_file_system_that_is_not_this_machines(pets: Path) -> None:
    shards: list[str] = []
    prepare(DataSet("images"), pets, ".", Folder("far://bucket/pets"), tell=shards.append)
    prepare(DataSet("images"), NOWHERE, ".", Folder("far://bucket/pets"), tell=shards.append)
    assert [line.split(": ")[1][:5] for line in shards] == ["made,", "made,", "whole", "whole"]
    expected = load(DataSet("images", resize=12, crop=12), pets, ".")
    assert same(load(DataSet("parquet", resize=12, crop=12), NOWHERE, "far://bucket/pets"), expected)
    streaming = load(DataSet("parquet", resize=12, crop=12), NOWHERE, "far://bucket/pets", images="streaming").train_x
    assert not isinstance(streaming, Tensor)
    assert torch.equal(streaming.read([3, 9]), torch.as_tensor(expected.train_x)[[3, 9]])


@pytest.mark.usefixtures("far")
def test_what_a_network_says_is_no_mistake_of_the_users(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, fields = "far://bucket/pets", {"name": "parquet", "resize": 12, "crop": 12}
    prepare(DataSet("images"), pets, ".", Folder(place))
    away = OSError("AWS Error NETWORK_CONNECTION during GetObject operation")
    left = 0  # files that are opened before the network is gone

    class Away(pq.ParquetFile):  # type: ignore[misc]  # pyarrow has no types
        def __init__(self, *arguments: object, **options: object) -> None:
            nonlocal left
            if left == 0:
                raise away
            left -= 1
            super().__init__(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pq, "ParquetFile", Away)
        for files in (0, 2, 3, 4):  # at the labels, the first image of each part, the images that are spooled
            left = files
            with pytest.raises(OSError, match="NETWORK_CONNECTION"):
                load(DataSet.from_fields(fields), NOWHERE, place, images="streaming")
    with pytest.raises(DataError, match=r"elsewhere is not a folder"):
        load(DataSet.from_fields(fields), NOWHERE, "far://bucket/elsewhere")
    (pets.parent / "far" / "bucket" / "pets" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        load(DataSet.from_fields(fields), NOWHERE, place)
    monkeypatch.setattr(Folder, "listed", lambda self: (_ for _ in ()).throw(away))
    with pytest.raises(OSError, match="NETWORK_CONNECTION"):
        load(DataSet.from_fields(fields), NOWHERE, place)
    with pytest.raises(DataError, match="NETWORK_CONNECTION"):
        load(DataSet.from_fields(fields), pets, ".")


# --- named sets


@pytest.fixture
def mnist(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root whose MNIST is the first hundreds of the real one, as files of torchvision's, and nothing else."""
    import gzip

    from torchvision import datasets

    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for archive, _ in datasets.MNIST.resources:
        content = gzip.decompress((data_root / "MNIST" / "raw" / archive).read_bytes())
        count, header, each = (300 if "train" in archive else 80), *((16, 784) if "images" in archive else (8, 1))
        few = content[:4] + count.to_bytes(4, "big") + content[8 : header + count * each]
        (folder / archive.removesuffix(".gz")).write_bytes(few)
    small = dataclasses.replace(PUBLISHED["mnist"], images=300, test_images=80)
    monkeypatch.setitem(published_data.PUBLISHED, "mnist", small)
    return tmp_path


def test_a_prepared_set_is_the_named_set_under_the_same_fields(mnist: Path) -> None:
    fields = {"name": "mnist", "classes": [3, 8], "half": "b", "channels": 3}
    original = load(DataSet.from_fields(fields), mnist)
    told(mnist / "elsewhere", {"name": "mnist"}, mnist, size=50_000)
    assert len(list((mnist / "elsewhere").glob("train-*"))) > 2
    assert same(load(DataSet.from_fields(fields), NOWHERE, f"file://{mnist}/elsewhere"), original)
    assert same(load(DataSet.from_fields(fields), mnist, "elsewhere"), original)
    (mnist / "root" / "prepared").mkdir(parents=True)
    (mnist / "elsewhere").rename(mnist / "root" / "prepared" / "mnist")
    assert same(load(DataSet.from_fields(fields), mnist / "root"), original)


def test_a_prepared_set_that_is_not_whole_or_not_this_one_is_refused(mnist: Path) -> None:
    told(mnist / "half", {"name": "mnist", "half": "a"}, mnist)
    with pytest.raises(DataError, match=r'half holds \{"name": "mnist", "half": "a"\}, not the whole of mnist'):
        load(DataSet("mnist"), mnist, "half")
    told(mnist / "whole", {"name": "mnist"}, mnist)
    with pytest.raises(DataError, match="not the whole of fashion_mnist"):
        load(DataSet("fashion_mnist"), mnist, "whole")
    shard = mnist / "whole" / "train-00000-of-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet has .* bytes\. Give `tickets prepare mnist"):
        load(DataSet("mnist"), mnist, "whole")


def test_a_prepared_set_whose_labels_are_not_those_of_its_manifest_is_refused(mnist: Path) -> None:
    told(mnist / "out", {"name": "mnist"}, mnist)
    file = mnist / "out" / "prepared.json"
    manifest = json.loads(file.read_text())
    file.write_text(json.dumps({**manifest, "test": manifest["test"][::-1]}))
    with pytest.raises(DataError, match=r"has other labels than prepared\.json counts\. Give `tickets prepare mnist"):
        load(DataSet("mnist"), mnist, "out")
    file.write_text(json.dumps({**manifest, "train": None}))
    with pytest.raises(DataError, match=r"prepared\.json is damaged"):
        load(DataSet("mnist"), mnist, "out")


def test_a_prepared_set_of_other_counts_is_not_said_to_be_unpacked_wrongly(
    mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(mnist / "out", {"name": "mnist"}, mnist)
    monkeypatch.setitem(published_data.PUBLISHED, "mnist", PUBLISHED["svhn"])
    with pytest.raises(DataError, match=r"300 and 80 are in \S*out/prepared\.json\..*`tickets prepare mnist \S*out`"):
        load(DataSet("mnist"), mnist, "out")
