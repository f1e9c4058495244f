"""Planning and training read the same images of Parquet files by the same rule, and refuse the same folders."""

import hashlib
import io
import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import TypeAdapter
from torch import Tensor

from pipeline.experiment.catalogue import AnyDataset, Data, describe
from pipeline.experiment.reading_once import reading_once
from pipeline.lottery.data import DataError, Images, load
from pipeline.lottery.locations import Folder
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.errors import UnfitError

DATASET: TypeAdapter[Any] = TypeAdapter(AnyDataset)
EMBEDDED = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TRAIN, TEST = "train-00000-of-00001.parquet", "test-00000-of-00001.parquet"


def png(value: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (4, 3), value).save(stream, "PNG")
    return stream.getvalue()


def write(
    file: Path, labels: Any, images: Any = None, metadata: Mapping[str, str] | None = None, **options: Any
) -> None:
    """A file of these labels. The pixels of an image are its row, unless `images` are given."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if images is None:
        images = pa.array([{"bytes": png(row), "path": None} for row in range(len(labels))], EMBEDDED)
    table = pa.table({"image": images, "label": labels})
    pq.write_table(table.replace_schema_metadata(metadata), file, **options)


def planned(folder: Path, **options: Any) -> Data:
    return describe(DATASET.validate_python({"name": "parquet", "path": ".", **options}), folder, None)


def agreed(folder: Path, **options: Any) -> tuple[Data, Images]:
    """What is planned, and what training reads of it, where they are of one mind."""
    data = planned(folder, **options)
    images = load(data.recipe, folder, data.location)
    assert (len(images.train_x), images.classes) == (data.images, data.classes)
    assert (images.train_x.shape[1], *images.size) == data.shape
    return data, images


def refused(folder: Path, **options: Any) -> str:
    """Why planning refuses the folder, which training does in the same words."""
    with pytest.raises(UnfitError) as in_plan:
        planned(folder, **options)
    with pytest.raises(DataError) as in_training:
        load(DataSet("parquet", **options), folder, ".")
    assert in_plan.value.what == str(in_training.value)
    return in_plan.value.what


# --- which files are which part


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (["train.parquet"], "test.parquet"),
        (["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"], TEST),
        (["train-00000-of-00002-0c3fa1.parquet", "train-00001-of-00002-77be02.parquet"], "val.parquet"),
        (["train-0.parquet", "train-1.parquet"], "validation-0.parquet"),
        (["train_0.parquet", "train_1.parquet"], "val_0.parquet"),
        (["train-a.parquet", "train-b.parquet"], "test.snappy.parquet"),
        (["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"], f"data/{TEST}"),
        (["train/0000.parquet", "train/0001.parquet"], "test/0000.parquet"),
        (["train/part-00000-5a-c000.snappy.parquet", "train/part-00003-5a-c000.snappy.parquet"], "val/any.parquet"),
        (["data/train/0000.parquet"], "data/validation/0000.parquet"),
        (["train.parquet/part-0.parquet"], "test.parquet/part-0.parquet"),
        (["train-1.parquet", "train-2.parquet"], "test-1.parquet"),
        (["train-2019.parquet", "train-2021.parquet"], "test2019.parquet"),
        (["train-v2.parquet"], "test-v2.parquet"),
    ],
    ids=lambda names: names if isinstance(names, str) else names[0],
)
def test_layouts_of_hugging_face_are_read(tmp_path: Path, train: list[str], test: str) -> None:
    for number, file in enumerate(train):
        write(tmp_path / file, [number, 1 - number])
    write(tmp_path / test, [0, 1])
    for ignored in (".train.parquet", "_SUCCESS", "train/.hidden.parquet", "train/_metadata", "train/notes.txt"):
        (tmp_path / ignored).parent.mkdir(exist_ok=True)
        (tmp_path / ignored).touch()
    data, images = agreed(tmp_path)
    assert images.train_y.tolist() == [0, 1, 1, 0][: 2 * len(train)] and data.notes == ()


def test_files_of_right_layouts_have_the_fingerprints_that_they_always_had(tmp_path: Path) -> None:
    digest = hashlib.sha256()
    for file in ("train-0.parquet", "train-1.parquet", "val-0.parquet"):
        write(tmp_path / file, [0, 1])
        content = (tmp_path / file).read_bytes()
        footer = int.from_bytes(content[-8:-4], "little")
        digest.update(f"{file}\0{len(content)}\0".encode() + content[-8 - footer :])
    assert planned(tmp_path).recipe.fields() == {"name": "parquet", "fingerprint": digest.hexdigest()}


@pytest.mark.parametrize("extra", ["trainval-00000-of-00001", "train_extra-00000-of-00001", "training", "testing-0"])
def test_the_name_of_a_split_is_matched_whole(tmp_path: Path, extra: str) -> None:
    write(tmp_path / TRAIN, [0, 1])
    write(tmp_path / TEST, [0, 1])
    before = planned(tmp_path)
    write(tmp_path / f"{extra}.parquet", [1, 2, 3])
    data, _ = agreed(tmp_path)
    assert data.recipe.fields() == before.recipe.fields()
    assert [note.partition(": ")[2] for note in data.notes] == [f"of neither part, and so not read: {extra}.parquet."]


def test_test_files_come_before_validation_files(tmp_path: Path) -> None:
    for file, rows in ((TRAIN, 1), ("val.parquet", 2), ("validation.parquet", 3), ("test.parquet", 4)):
        write(tmp_path / file, [0] * rows)
    for rows, file in ((4, "test.parquet"), (3, "validation.parquet"), (2, "val.parquet")):
        assert len(agreed(tmp_path)[1].test_y) == rows
        (tmp_path / file).unlink()
    assert f"has no test or validation or val part beside {TRAIN}. Expected" in refused(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            "train-00000-of-00003 train-00002-of-00003",
            r"is not whole: train-00001-of-00003\.parquet is missing \(2 of 3",
        ),
        ("train-0-of-999999999", r"train-1-of-999999999\.parquet, .* and 999,999,995 more are missing"),
        ("train-00001-of-00002-ab", r"train-00000-of-00002\*\.parquet is missing"),
        (
            "train-00000-of-00001 train-00000-of-00002 train-00001-of-00002",
            r"shards of different sets: train-00000-of-00001\.parquet, train-0000[01]-of-00002\.parquet",
        ),
        ("train-00000-of-00001 train-00001-of-00001", r"00001-of-00001\.parquet: shards are counted from 0.* 1 is 0"),
        ("train-00000-of-00001-ab train-00000-of-00001-cd", "number 0 twice: .*-ab.parquet and .*-cd.parquet"),
        ("train train-00000-of-00002 train-00001-of-00002", r"train\.parquet is there beside train-00000-of-00002"),
        ("train train-extra", r"train\.parquet is there beside train-extra"),
        ("train-00000-of-00001 train-extra-00000-of-00001", "shards of different sets"),
        ("train-0 train-2", r"train-1\.parquet is missing"),
        ("train-2 train-3", r"is not whole: train-0\.parquet, train-1\.parquet are missing \(2 of 4 files are there\)"),
        ("train_5 train_6", r"train_0\.parquet, train_1\.parquet, train_2\.parquet and 2 more are missing"),
        ("train-1 train-3", r"train-2\.parquet is missing \(2 of 3 files"),
        ("train/part-00002 train/part-00003", r"train/part-00000\.parquet, train/part-00001\.parquet are missing"),
        ("train/part-00002-5a-c000.snappy", r"part-00000-\* is missing beside train/part-00002-5a-c000\."),
        ("train-1899 train-1900", r"train-0000\.parquet, .* and 1,896 more are missing"),
        ("train-02019", r"train-00000\.parquet, .* are missing"),
        ("train/v2 train/v3", r"train/v0\.parquet, train/v1\.parquet are missing"),
        ("train/0001", r"train/0000\.parquet is missing"),
        ("train/0000 train/0002", r"train/0001\.parquet is missing"),
        ("train/a-0-of-2", r"train/a-1-of-2\.parquet is missing"),
        ("train train/0000", r"has the train part twice, as train\.parquet and train/0000\.parquet"),
        ("train data/train", r"has the train part twice, as train\.parquet and data/train\.parquet"),
        ("trainval plain_text/train", r"has no train part; there are trainval\.parquet, plain_text/\. Expected"),
    ],
)
def test_what_is_not_whole_or_not_of_one_sharding_is_refused_by_name(tmp_path: Path, files: str, message: str) -> None:
    for file in files.split():
        write(tmp_path / f"{file}.parquet", [0])
    write(tmp_path / TEST, [0])
    assert re.search(message, refused(tmp_path))


def test_a_part_may_lie_elsewhere_than_the_other_where_that_is_certain(tmp_path: Path) -> None:
    write(tmp_path / "train/0000.parquet", [0, 1])
    write(tmp_path / "data/test.parquet", [0, 1])
    agreed(tmp_path)
    write(tmp_path / TEST, [0, 1])
    assert f"has the test part twice, as {TEST} and data/test.parquet" in refused(tmp_path)
    write(tmp_path / "val/0000.parquet", [0, 1, 1])
    data, images = agreed(tmp_path)
    assert len(images.test_y) == 3
    assert data.notes[0].endswith(f"not read: data/test.parquet, {TEST}.")


@pytest.mark.parametrize(
    ("link", "target", "train", "test"),
    [
        ("test.parquet", "train.parquet", "train.parquet", "test.parquet"),
        ("val", "train", "train/0000.parquet", "val/0000.parquet"),
        ("test/1.parquet", "../train/0000.parquet", "train/0000.parquet", "test/1.parquet"),
    ],
)
def test_a_training_file_is_no_test_file(tmp_path: Path, link: str, target: str, train: str, test: str) -> None:
    write(tmp_path / train, [0, 1])
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(target)
    assert f"{tmp_path / train} and {tmp_path / test} are one file: its images would be" in refused(tmp_path)


def test_a_test_part_is_whole_too(tmp_path: Path) -> None:
    write(tmp_path / TRAIN, [0])
    write(tmp_path / "validation-00000-of-00002.parquet", [0])
    assert "validation-00001-of-00002.parquet is missing" in refused(tmp_path)


def test_training_refuses_files_that_came_after_planning(tmp_path: Path) -> None:
    write(tmp_path / "train-0.parquet", [0, 1])
    write(tmp_path / "test.parquet", [0, 1])
    data = planned(tmp_path)
    write(tmp_path / "train-1.parquet", [0, 1])
    with pytest.raises(DataError, match="has changed since it was planned"):
        load(data.recipe, tmp_path, data.location)


# --- labels


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, -1], r"column 'label' has -1, which is no class number: .*Hugging Face writes -1"),
        ([0, 1, 2_000_000_000], r"column 'label' has 2,000,000,000, which is no class number"),
        (pa.array([0, 2**64 - 1], pa.uint64()), "has 18,446,744,073,709,551,615, which is no class number"),
        ([0.0, 1.0], "column 'label' is double. Labels are integers or strings"),
        ([False, True], "column 'label' is bool"),
        ([[0], [1]], "column 'label' is list<"),
        (pa.array([b"0", b"1"]), "column 'label' is binary"),
        (pa.array([None, None]), "column 'label' is null"),
        ([0, None, 1], "1 of 3 rows of 'label' have no label"),
        (pa.array(["a", None]).dictionary_encode(), "1 of 2 rows of 'label' have no label"),
    ],
)
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_label_that_is_no_class_number_is_refused_in_planning(
    tmp_path: Path, part: str, labels: Any, message: str
) -> None:
    write(tmp_path / TRAIN, [0, 1])
    write(tmp_path / TEST, [0, 1])
    write(tmp_path / f"{part}-00000-of-00001.parquet", labels)
    said = refused(tmp_path)
    assert re.search(message, said) and f"{part}-00000-of-00001.parquet" in said


def test_a_label_that_only_test_images_have_is_refused_unless_it_is_not_chosen(tmp_path: Path) -> None:
    write(tmp_path / TRAIN, [0, 1, 3])
    write(tmp_path / "val.parquet", [0, 1, 2, 5])
    assert "val.parquet: column 'label' has 2, 5, which no training image has" in refused(tmp_path)
    data, images = agreed(tmp_path, classes=[1, 0])
    assert images.test_y.tolist() == [1, 0] and data.notes == ()
    with pytest.raises(UnfitError, match="has 2, which no training image has"):
        planned(tmp_path, classes=[1, 2])


def test_labels_that_are_many_for_a_reason_are_read(tmp_path: Path) -> None:
    write(tmp_path / TRAIN, [0, 21_840])
    write(tmp_path / TEST, [0, 21_840])
    assert planned(tmp_path).classes == 21_841


@pytest.mark.parametrize(
    ("train", "test", "note"),
    [
        ([0, 1, 3], [0, 1, 3], "no training image has label 2; each is one of 4 classes all the same."),
        ([1, 2, 3], [1, 2, 3], "labels begin with 1: class 0 has no images, and is one of 4 classes all the same."),
        ([0, 1, 2], [0, 2], "no test image has label 1."),
        ([0, 20], [0, 20], "no training image has label 1, 2, 3, 4, 5, 6, 7, 8 and 11 more; each is one of 21"),
    ],
)
def test_labels_that_leave_a_class_without_images_are_said(
    tmp_path: Path, train: list[int], test: list[int], note: str
) -> None:
    write(tmp_path / TRAIN, train)
    write(tmp_path / TEST, test)
    data, _ = agreed(tmp_path)
    assert len(data.notes) == 1 and data.notes[0].startswith(f"{tmp_path}: {note}")
    assert planned(tmp_path, classes=sorted(set(test))).notes == ()


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_strings_are_classes_in_sorted_order(tmp_path: Path, kind: Any) -> None:
    def of(words: Sequence[str]) -> Any:
        return pa.array(words).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(words, kind)

    write(tmp_path / "train-0.parquet", of(["dog", "cat"]))
    write(tmp_path / "train-1.parquet", of(["ant", "dog"]))
    write(tmp_path / TEST, pa.array(["dog", "ant", "cat"]))
    data, images = agreed(tmp_path)
    assert images.train_y.tolist() == [2, 1, 0, 2] and images.test_y.tolist() == [2, 0, 1]
    said = "the labels are strings, which are numbered in sorted order: 0 'ant', 1 'cat', 2 'dog'."
    assert data.notes == (f"{tmp_path}: {said}",)
    write(tmp_path / TEST, of(["dog", "bee", "cat"]))
    assert f"{TEST}: column 'label' has 'bee', which no training image has" in refused(tmp_path)


def test_integers_in_a_dictionary_are_class_numbers(tmp_path: Path) -> None:
    labels = pa.DictionaryArray.from_arrays(pa.array([1, 0]), pa.array([7, 2]))
    for file in (TRAIN, TEST):
        write(tmp_path / file, labels)
    assert agreed(tmp_path, classes=[2, 7])[1].train_y.tolist() == [0, 1]


def test_the_key_of_strings_follows_them(tmp_path: Path) -> None:
    write(tmp_path / TEST, ["cat", "dog"])

    def keyed(labels: list[str]) -> dict[str, Any]:
        # Without statistics and compression, a footer says nothing of the labels.
        write(tmp_path / TRAIN, labels, write_statistics=False, compression="none")
        return planned(tmp_path).recipe.fields()

    one, other = keyed(["cat", "dog"]), keyed(["dog", "cat"])
    assert one["fingerprint"] == other["fingerprint"] and one != other
    with pytest.raises(DataError, match="has changed since it was planned"):
        load(DataSet.from_fields(one), tmp_path, ".")


def test_labels_mean_the_same_in_every_file(tmp_path: Path) -> None:
    def named(*names: str) -> dict[str, str]:
        feature = {"names": names, "_type": "ClassLabel"}
        return {"huggingface": json.dumps({"info": {"features": {"label": feature}}})}

    write(tmp_path / TRAIN, [0, 1], metadata=named("cat", "dog"))
    write(tmp_path / TEST, [0, 1], metadata=named("dog", "cat"))
    assert "number the classes of column 'label' differently" in refused(tmp_path)
    write(tmp_path / TEST, [0, 1], metadata={"huggingface": "no JSON"})
    agreed(tmp_path)
    write(tmp_path / TEST, pa.array([0, 1], pa.uint8()), metadata=named("cat", "dog"))
    agreed(tmp_path)
    write(tmp_path / TEST, ["0", "1"])
    assert f"column 'label' is int64 in {TRAIN}, and large_string in {TEST}" in refused(tmp_path)
    pq.write_table(pa.table({"image": [png()], "target": [0]}), tmp_path / TEST)
    assert f"{TEST} has no column 'label'; set `label:` to one of image, target" in refused(tmp_path)


# --- images


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(len(png()))], ids=str)
@pytest.mark.parametrize("plain", [True, False])
def test_images_are_binary_or_a_struct_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, plain: bool
) -> None:
    monkeypatch.setenv("TICKETS_CACHE", str(tmp_path / "cache"))
    cells = pa.array([png(), png()], kind)
    images = cells if plain else pa.StructArray.from_arrays([cells], ["bytes"])
    for file in (TRAIN, TEST):
        write(tmp_path / file, [0, 1], images)
    data, _ = agreed(tmp_path)
    streaming = load(data.recipe, tmp_path, ".", images="streaming").train_x
    assert not isinstance(streaming, Tensor) and streaming.read([1]).shape == (1, 1, 3, 4)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["a.png", "b.png"], "column 'image' is string. Images are {bytes, path}"),
        ([{"path": "a.png"}, {"path": "b.png"}], "column 'image' is struct<path: string>"),
        ([{"bytes": "text"}] * 2, "column 'image' is struct<bytes: string>"),
        ([[1, 2], [3]], "column 'image' is list<"),
        ([{"bytes": png(), "path": None}, None], "1 of 2 rows of 'image' have no image, or only its path"),
        ([{"bytes": png(), "path": None}, {"bytes": None, "path": "a.png"}], "1 of 2 rows of 'image' have no image"),
        ([png(), None], "1 of 2 rows of 'image' have no image"),
    ],
)
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_column_without_images_is_refused_in_planning(tmp_path: Path, part: str, images: Any, message: str) -> None:
    write(tmp_path / TRAIN, [0, 1])
    write(tmp_path / TEST, [0, 1])
    write(tmp_path / f"{part}-00000-of-00001.parquet", [0, 1], pa.array(images))
    said = refused(tmp_path)
    assert message in said and f"{part}-00000-of-00001.parquet" in said


def test_files_without_rows_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / TEST, [0, 1])
    write(tmp_path / "train-00001-of-00002.parquet", [0, 1])
    for without_type in (False, True):
        images = pa.array([], pa.null() if without_type else EMBEDDED)
        write(tmp_path / "train-00000-of-00002.parquet", pa.array([], images.type if without_type else "int64"), images)
        assert agreed(tmp_path)[0].images == 2
    write(tmp_path / "train-00001-of-00002.parquet", [], pa.array([], EMBEDDED))
    assert "has no training image: there is no row in train-00000-of-00002.parquet, train-" in refused(tmp_path)
    write(tmp_path / "train-00001-of-00002.parquet", [0, 1])
    write(tmp_path / TEST, [], pa.array([], EMBEDDED))
    assert f"has no test image: there is no row in {TEST}." in refused(tmp_path)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    for file in (TRAIN, TEST):
        pq.write_table(pa.table([[png()], [0], [1]], ["image", "label", "label"]), tmp_path / file)
    assert "has 2 columns 'label'" in refused(tmp_path)


def test_whatever_is_damaged_is_refused_in_words(tmp_path: Path) -> None:
    for file in (TRAIN, TEST):
        write(tmp_path / file, ["a", "b", "c"])
    whole = (tmp_path / TRAIN).read_bytes()
    numbers, refusals = random.Random(0), 0
    for trial in range(400):
        damaged = bytearray(whole)
        for _ in range(numbers.choice((1, 1, 2, 5))):  # most of them in the footer, whose damage ended the process
            damaged[numbers.randrange(0 if trial % 3 else len(whole) - 800, len(whole))] = numbers.randrange(256)
        (tmp_path / TRAIN).write_bytes(damaged[: numbers.randrange(len(whole))] if trial % 10 == 0 else damaged)
        try:
            planned(tmp_path)
        except UnfitError:
            refusals += 1
    assert refusals > 100


def test_a_plan_reads_a_set_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in (TRAIN, TEST):
        write(tmp_path / file, [0, 1, 2])
    asked: list[str] = []
    path_of = Folder.path

    def noted(folder: Folder, name: str) -> str:
        asked.append(name)
        return path_of(folder, name)

    monkeypatch.setattr(Folder, "path", noted)
    with reading_once():
        planned(tmp_path)
        before = len(asked)
        assert planned(tmp_path, classes=[0, 1]).notes == () and len(asked) == before
        assert planned(tmp_path, classes=[2]).images == 1 and len(asked) == before
    write(tmp_path / TEST, [0, 3])
    with reading_once():
        assert planned(tmp_path, classes=[0]).notes == ()
        with pytest.raises(UnfitError, match="has 3, which no training image has"):
            planned(tmp_path)
