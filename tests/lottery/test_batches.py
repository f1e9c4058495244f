"""Batches are the same bits from memory or streamed, and the ranks of a group together see what one worker does."""

import hashlib
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.lottery.batches import Batches, TestBatches
from pipeline.lottery.data import DataError, ImageCache, Images, feed, load, residency, statistics, whole_parts
from pipeline.lottery.data.cache_folder import made_once
from pipeline.lottery.data.residency import streams
from pipeline.lottery.image_folders import image_folder
from pipeline.lottery.locations import Folder
from pipeline.lottery.normalization import Normalization
from pipeline.lottery.parquet_files import fingerprint
from pipeline.recipes.augmentation import Augment
from pipeline.recipes.configuration import Configuration
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.models import Linear
from pipeline.recipes.optimizers import SGD
from pipeline.recipes.schedule import Schedule
from pipeline.recipes.training import Train

CPU = torch.device("cpu")
NONE = Augment()
Batch = tuple[Tensor, Tensor]


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve and six JPEGs of two classes and several sizes, one of them grey."""
    monkeypatch.setenv("TICKETS_CACHE", str(tmp_path / "cache"))
    numbers = torch.Generator().manual_seed(0)
    for part, count in (("train", 6), ("val", 3)):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for number in range(count):
                size = (14, 20 + number, 3)
                pixels = torch.randint(0, 256, size, generator=numbers).byte().numpy()
                picture = Image.fromarray(pixels).convert("L" if (name, number) == ("dog", 1) else "RGB")
                picture.save(tmp_path / "pets" / part / name / f"{number}.jpg", quality=90)
    return tmp_path / "pets"


def opened(
    images: Images, data: dict[str, Any], rank: int = 0, world_size: int = 1, augment: Augment = NONE
) -> tuple[Batches, TestBatches]:
    schedule = Schedule(batch_size=5, iterations=12, record_every=12)
    of = Configuration(Linear(), (3, 8, 8), 2, DataSet.from_fields(data), SGD(0.1), schedule, augment)
    normalize = Normalization(images.mean, images.std, CPU)
    return (
        Batches(Train(of, seed=1, round=2), images, normalize, CPU, rank, world_size),
        TestBatches(images, normalize, CPU, 4, rank, world_size),
    )


def seen(batches: Batches, test: TestBatches) -> Iterator[Batch]:
    """A run from the start, one that resumes in another epoch, one that goes back; the test set twice."""
    try:
        for iteration in (0, 1, 2, 3, 4, 7, 8, 1):
            yield batches.at(iteration)
        yield from test
        yield from test
    finally:
        batches.close()
        test.close()


PETS = {"name": "images", "resize": 12, "crop": 12}
BOXES = Augment(flip=True, resized_crop=True)


def test_streamed_images_are_the_same_bits_as_images_in_memory(pets: Path) -> None:
    random = torch.get_rng_state()
    resident = load(DataSet.from_fields(PETS), pets, ".")
    streaming = load(DataSet.from_fields(PETS), pets, ".", images="streaming", decoders=2)
    assert isinstance(resident.train_x, Tensor) and not isinstance(streaming.train_x, Tensor)
    assert streaming.train_x.shape == resident.train_x.shape == (12, 3, 12, 12)
    assert torch.equal(streaming.mean, resident.mean) and torch.equal(streaming.std, resident.std)
    expected = list(seen(*opened(resident, PETS, augment=BOXES)))
    found = list(seen(*opened(streaming, PETS, augment=BOXES)))
    assert len(expected) == len(found) == 8 + 2 * 2
    for (images, labels), (theirs, their_labels) in zip(expected, found, strict=True):
        assert torch.equal(images, theirs) and torch.equal(labels, their_labels)
    assert not torch.equal(expected[0][0], expected[3][0]), "each epoch has an order of its own"
    assert torch.equal(torch.get_rng_state(), random), "what a model draws does not depend on where images are"
    assert not multiprocessing.active_children()


def test_large_sets_are_decoded_by_several_processes_to_the_same_bits(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load(DataSet.from_fields(PETS), pets, ".")
    monkeypatch.setattr(whole_parts, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(whole_parts, "CHUNK", 5)
    monkeypatch.setattr(feed, "CHUNK_BYTES", 2 * 3 * 12 * 12)
    for images in ("resident", "streaming"):
        found = load(DataSet.from_fields(PETS), pets, ".", images=images, decoders=2)
        assert torch.equal(found.mean, expected.mean) and torch.equal(found.std, expected.std)
        if isinstance(found.train_x, Tensor):
            assert torch.equal(found.train_x, torch.as_tensor(expected.train_x))
    assert not multiprocessing.active_children()


def parquet_of(pets: Path) -> Path:
    folder = pets.parent / "rows"
    folder.mkdir()
    for part in ("train", "val"):
        files = sorted((pets / part).rglob("*.jpg"))
        rows = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
        labels = [int(file.parent.name == "dog") for file in files]
        pq.write_table(pa.table({"image": rows, "label": labels}), folder / f"{part}.parquet", row_group_size=4)
    return folder


def planned(folder: Path) -> str:
    """The fingerprint that a plan gives to what is there."""
    place = Folder(str(folder))
    sizes = place.sizes()
    return fingerprint(place, {name: sizes[name] for name in ("train.parquet", "val.parquet")})


def test_parquet_streams_from_one_file_that_is_written_once(pets: Path) -> None:
    folder = parquet_of(pets)
    fields = {**PETS, "name": "parquet", "fingerprint": planned(folder), "classes": [1]}
    resident = load(DataSet.from_fields(fields), folder, ".")
    streaming = load(DataSet.from_fields(fields), folder, ".", images="streaming")
    expected, found = (list(seen(*opened(images, fields))) for images in (resident, streaming))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(expected, found, strict=True))
    spools = list((pets.parent / "cache" / "images").glob("*.arrow"))
    assert len(spools) == 2
    written = [file.stat().st_mtime_ns for file in spools]
    again = load(DataSet.from_fields(fields), folder, "file://" + str(folder), images="streaming")
    assert torch.equal(again.mean, resident.mean)
    assert [file.stat().st_mtime_ns for file in spools] == written
    assert not list((pets.parent / "cache").rglob(".part-*"))


def test_statistics_of_streamed_images_are_counted_once(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {**PETS, "fingerprint": image_folder(pets).fingerprint}
    first = load(DataSet.from_fields(fields), pets, ".", images="streaming")
    monkeypatch.setattr(statistics, "chunks", None)
    again = load(DataSet.from_fields(fields), pets, ".", images="streaming")
    assert torch.equal(first.mean, again.mean) and torch.equal(first.std, again.std)


@pytest.mark.parametrize(("images", "world_size"), [("resident", 2), ("resident", 3), ("streaming", 2)])
def test_ranks_divide_each_batch_as_tensor_split_does(pets: Path, images: str, world_size: int) -> None:
    loaded = load(DataSet.from_fields(PETS), pets, ".", images=images)
    whole, whole_test = opened(loaded, PETS, augment=BOXES)
    ranks = [opened(loaded, PETS, rank, world_size, augment=BOXES) for rank in range(world_size)]
    for iteration in range(4):  # the batches of an epoch are 5, 5 and 2
        expected = whole.at(iteration)
        assert whole.count(iteration) == len(expected[1]) == (5, 5, 2)[iteration % 3]
        for rank, (batches, _) in enumerate(ranks):
            part = batches.at(iteration)
            for ours, theirs in zip(part, expected, strict=True):
                assert torch.equal(ours, torch.tensor_split(theirs, world_size)[rank])
            assert batches.count(iteration) == whole.count(iteration)
    expected_labels = torch.tensor_split(torch.cat([labels for _, labels in whole_test]), world_size)
    for (batches, test), labels in zip(ranks, expected_labels, strict=True):
        assert torch.equal(torch.cat([found for _, found in test]), labels)
        batches.close()
        test.close()
    whole.close()
    whole_test.close()


def test_a_damaged_picture_stops_a_stream_with_its_name_and_the_processes_end(pets: Path) -> None:
    streaming = load(DataSet.from_fields(PETS), pets, ".", images="streaming")
    (pets / "train" / "dog" / "4.jpg").write_bytes(b"damaged")
    batches, test = opened(streaming, PETS)
    with pytest.raises(DataError, match=r"^\S*dog/4\.jpg cannot be read as an image: [^\n]*$"):
        for iteration in range(3):
            batches.at(iteration)
    assert not multiprocessing.active_children()
    with pytest.raises(ValueError, match="closed"):
        batches.at(0)
    next(iter(test))
    assert len(multiprocessing.active_children()) == 1
    del test  # an owner that is stopped does not close
    assert not multiprocessing.active_children()


def test_more_is_stored_than_is_seen_where_boxes_need_room(pets: Path) -> None:
    whole = load(DataSet.from_fields(PETS), pets, ".")
    images = Images(
        whole.train_x, whole.train_y, whole.test_x, whole.test_y, whole.mean, whole.std, whole.classes, seen=(8, 8)
    )
    assert isinstance(whole.test_x, Tensor)
    batches, test = opened(images, PETS)
    assert batches.at(0)[0].shape == (5, 3, 8, 8)
    normalize = Normalization(whole.mean, whole.std, CPU)
    assert torch.equal(next(iter(test))[0], normalize(whole.test_x[:4, :, 2:10, 2:10]))
    assert opened(images, PETS, augment=BOXES)[0].at(0)[0].shape == (5, 3, 8, 8)


def test_sets_stream_that_do_not_fit_and_can_be_forced(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for available, limit in ((64, 8), (16, 4)):  # GiB
        monkeypatch.setattr(residency, "available_bytes", lambda available=available: available * 2**30)
        assert not streams("auto", limit * 2**30, "cpu", None) and streams("auto", limit * 2**30 + 1, "cpu", None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 140))
    assert not streams("auto", 25, "cuda:0", None, share=0.5) and streams("auto", 26, "cuda:0", None, share=0.5)
    assert not streams("auto", 50, "cuda:0", None) and streams("auto", 51, "cuda:0", None)
    with pytest.raises(ValueError, match="share 0"):
        streams("auto", 1, "cpu", None, share=0)
    assert streams("streaming", 1, "cpu", None) and not streams("resident", 10**15, "cpu", None)
    with pytest.raises(ValueError, match="use auto, resident or streaming"):
        streams("stream", 1, "cpu", None)
    decoded = (12 + 6) * 3 * 12 * 12
    assert isinstance(load(DataSet.from_fields(PETS), pets, ".", limit_bytes=decoded).train_x, Tensor)
    assert not isinstance(load(DataSet.from_fields(PETS), pets, ".", limit_bytes=decoded - 1).train_x, Tensor)


def test_the_cache_tells_streamed_images_from_those_in_memory(pets: Path) -> None:
    cache, chosen = ImageCache(pets, limit_bytes=10**6), DataSet.from_fields(PETS)
    resident, streaming = cache.get(chosen, "."), cache.get(chosen, ".", images="streaming")
    assert isinstance(resident.train_x, Tensor) and not isinstance(streaming.train_x, Tensor)
    assert cache.get(chosen, ".") is resident and cache.get(chosen, ".", images="streaming") is streaming
    assert streaming.nbytes < resident.nbytes / 2


def test_the_cache_counts_arrays_whatever_part_of_them_is_streamed() -> None:
    fields = {"name": "digits", "per_class": 1}
    streaming = load(DataSet.from_fields(fields), Path("nowhere"), images="streaming")
    assert streaming.nbytes > load(DataSet("digits"), Path("nowhere")).test_x.nbytes + 1442 * 64


def test_memory_that_is_available_is_less_than_all_there_is() -> None:
    assert 2**20 < residency.available_bytes() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_rows_of_parquet_files_are_read_in_this_process(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, fields = parquet_of(pets), {**PETS, "name": "parquet"}
    expected = load(DataSet.from_fields(fields), folder, ".")
    monkeypatch.setattr(whole_parts, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(whole_parts, "GROUPS", 5)
    monkeypatch.setattr(whole_parts, "Feed", None)
    found = load(DataSet.from_fields(fields), folder, ".", decoders=2)
    assert torch.equal(torch.as_tensor(found.train_x), torch.as_tensor(expected.train_x))
    assert torch.equal(torch.as_tensor(found.test_x), torch.as_tensor(expected.test_x))


def test_statistics_of_a_users_function_are_counted_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKETS_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n"
        "def load(root):\n"
        "    x = np.full((2, 1, 4, 4), int((root / 'value').read_text()), np.uint8)\n"
        "    return x, np.arange(2), x, np.arange(2)\n"
    )
    fields = {"name": "user", "function": "load", "source": hashlib.sha256(file.read_bytes()).hexdigest()}
    for value in (0, 51):
        (tmp_path / "value").write_text(str(value))
        images = load(DataSet.from_fields(fields), tmp_path, str(file), images="streaming")
        assert images.mean.item() == pytest.approx(value / 255)


def test_a_folder_that_changed_since_it_was_planned_is_refused(pets: Path) -> None:
    folder = parquet_of(pets)
    fields = {**PETS, "name": "parquet", "fingerprint": planned(folder)}
    load(DataSet.from_fields(fields), folder, ".", images="streaming")
    table = pq.read_table(folder / "train.parquet")
    pq.write_table(table.slice(0, 11), folder / "train.parquet", row_group_size=4)
    for images in ("resident", "streaming"):
        with pytest.raises(DataError, match="has changed since it was planned"):
            load(DataSet.from_fields(fields), folder, ".", images=images)


def test_a_cache_folder_that_cannot_be_used_is_named(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = parquet_of(pets)
    shutil.rmtree(pets.parent / "cache", ignore_errors=True)
    (pets.parent / "cache").write_text("a file")
    with pytest.raises(DataError, match=r"cache.*set TICKETS_CACHE to another folder"):
        load(DataSet.from_fields({**PETS, "name": "parquet"}), folder, ".", images="streaming")


def test_what_several_ask_for_at_once_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def write(part: Path) -> None:
        made.append(part)
        time.sleep(0.2)
        part.write_text("whole")

    with ThreadPoolExecutor(3) as threads:
        files = list(threads.map(lambda _: made_once(tmp_path / "new" / "file.arrow", write), range(3)))
    assert len(made) == 1 and {file.read_text() for file in files} == {"whole"}
    assert sorted(path.suffix for path in (tmp_path / "new").iterdir()) == [".arrow", ".lock"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".part-file-x").mkdir()
    (tmp_path / ".part-file-x" / "file.arrow").write_text("half")
    (tmp_path / ".part-other-x").mkdir()
    made_once(tmp_path / "file.arrow", lambda part: part.touch())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".part-other-x", "file.arrow", "file.lock"]
