"""What planning knows of data sets and models is what they are."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from pipeline.experiment.catalogue import AnyDataset, Data, describe
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.model_base import BuiltIn
from pipeline.recipes.models import Convnet, Lenet

DATASET: TypeAdapter[Any] = TypeAdapter(AnyDataset)


def described(root: Path, channels: int | None = None, **options: object) -> Data:
    return describe(DATASET.validate_python(options), root, channels)


def test_digits_have_the_counts_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    labels = load_digits().target
    counts = np.bincount(labels)
    digits = described(tmp_path, name="digits")
    assert digits.images == sum(counts - counts // 5)
    assert (digits.shape, digits.classes, digits.augment.fields(), digits.recipe.fields()) == (
        (1, 8, 8),
        10,
        {"crop": 1},
        {"name": "digits"},
    )


@pytest.mark.parametrize(
    "options",
    [
        {"name": "digits"},
        {"name": "digits", "half": "a", "classes": (3, 1, 4)},
        {"name": "digits", "half": "b", "per_class": 10, "resize": 12, "crop": 10, "channels": 3},
        {"name": "digits", "split": {"groups": 3, "seed": 7, "part": 1}},
        {"name": "mnist", "half": "b"},
        {"name": "fashion_mnist", "classes": (0, 1)},
        {"name": "parquet", "path": "cifar10", "half": "a"},
        {"name": "images", "path": "imagenette", "resize": 32, "crop": 24},
        {"name": "parquet", "path": "cifar100", "per_class": 2},
        {"name": "digits", "resize": 10, "crop": 6, "margin": 2},
    ],
    ids=str,
)
def test_planning_and_loading_agree_on_shape_classes_and_size(data_root: Path, options: dict[str, Any]) -> None:
    from pipeline.lottery.data import load

    if "path" in options and not (data_root / options["path"]).is_dir():
        pytest.skip(f"needs {options['path']} in the data root")
    data = described(data_root, **options)
    images = load(data.recipe, data_root, data.location)
    assert (len(images.train_x), (images.train_x.shape[1], *images.size)) == (data.images, data.shape)
    assert images.classes == data.classes


def test_the_fingerprint_of_a_folder_follows_its_content(tmp_path: Path) -> None:
    from PIL import Image

    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            Image.new("RGB", (6, 4)).save(tmp_path / "pets" / part / name / "0.png")
    before = described(tmp_path, name="images", path="pets")
    assert (before.shape, before.images, before.classes) == ((3, 4, 6), 2, 2)
    Image.new("L", (8, 8), 7).save(tmp_path / "pets" / "train" / "dog" / "1.png")
    after = described(tmp_path, name="images", path="pets")
    assert after.recipe.fields() != before.recipe.fields()
    (tmp_path / "pets" / "train" / "cat" / "0.png").unlink()
    Image.new("RGB", (9, 9)).save(tmp_path / "pets" / "train" / "cat" / "0.png")
    with pytest.raises(UnfitError, match="differ in size"):
        described(tmp_path, name="images", path="pets")
    assert described(tmp_path, name="images", path="pets", resize=4, crop=4).shape == (3, 4, 4)


def test_parquet_is_told_by_names_sizes_and_footers(tmp_path: Path) -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    picture = io.BytesIO()
    Image.new("L", (5, 7)).save(picture, "PNG")

    def write(labels: list[int]) -> Data:
        rows = {"img": [{"bytes": picture.getvalue(), "path": ""}] * len(labels), "label": labels}
        for part in ("train", "test"):
            pq.write_table(pa.table(rows), tmp_path / f"{part}-0.parquet")
        return described(tmp_path, name="parquet", path=".", image="img")

    first = write([0, 1, 1, 3])
    assert (first.shape, first.classes, first.images) == ((1, 7, 5), 4, 4)
    assert first.recipe.fields()["image"] == "img"
    assert first.recipe.fields()["fingerprint"] == write([0, 1, 1, 3]).recipe.fields()["fingerprint"]
    assert first.recipe.fields()["fingerprint"] != write([0, 1, 1, 2]).recipe.fields()["fingerprint"]
    with pytest.raises(UnfitError, match=r"no column 'image'; set `image:` to one of img, label"):
        described(tmp_path, name="parquet", path=".")


def test_grey_images_get_the_channels_a_model_wants_and_colour_stays(tmp_path: Path) -> None:
    assert described(tmp_path, 3, name="digits").recipe.fields() == {"name": "digits", "channels": 3}
    assert described(tmp_path, 3, name="digits").shape == (3, 8, 8)
    with pytest.raises(UnfitError, match="the model needs 3 channels"):
        describe(DATASET.validate_python({"name": "digits", "channels": 1}), tmp_path, 3)


@pytest.mark.parametrize("model", [Lenet(hidden=(20, 10, 5)), Convnet(width=4)], ids=str)
def test_layer_shapes_are_those_of_the_model_that_is_built(model: BuiltIn) -> None:
    from pipeline.lottery.models import describe as describe_model

    shape = (3, 9, 7)
    assert list(model.layers(shape, 6)) == describe_model(model, shape, 6)


def test_lenet_300_100_has_the_weights_of_the_paper() -> None:
    layers = Lenet().layers((1, 28, 28), 10)
    assert sum(math.prod(size) for _, size in layers) == 266_200


def test_a_data_set_of_the_users_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n"
        "def load(root):\n"
        "    x, y = np.zeros((7, 1, 4, 5), np.uint8), np.array([0, 1, 2, 0, 1, 2, 0])\n"
        "    return x, y, x, y\n"
    )
    data = described(tmp_path, name=f"{file}:load", half="a")
    assert (data.shape, data.classes, data.images) == ((1, 4, 5), 3, 2 + 1 + 1)
    assert data.location == str(file)
    with pytest.raises(UnfitError, match=r"defines no 'lod'\. Did you mean 'load'"):
        described(tmp_path, name=f"{file}:lod")


# --- published sets: planned without any of their files


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("mnist", ((1, 28, 28), 10, 60_000, {"crop": 4})),
        ("fashion_mnist", ((1, 28, 28), 10, 60_000, {"flip": True, "crop": 4})),
        ("svhn", ((3, 32, 32), 10, 73_257, {"crop": 4})),
        ("cifar10", ((3, 32, 32), 10, 50_000, {"flip": True, "crop": 4})),
        ("cifar100", ((3, 32, 32), 100, 50_000, {"flip": True, "crop": 4})),
        ("smallnorb", ((1, 96, 96), 5, 24_300, {"flip": True, "crop": 4})),
        ("imagenet", ((3, 224, 224), 1000, 1_281_167, {"flip": True, "resized_crop": True})),
        ("places365", ((3, 224, 224), 365, 1_803_460, {"flip": True, "resized_crop": True})),
    ],
)
def test_published_sets_are_known_without_their_files(tmp_path: Path, name: str, facts: tuple[Any, ...]) -> None:
    data = described(tmp_path, name=name)
    assert (data.shape, data.classes, data.images, data.augment.fields()) == facts
    assert (data.recipe.fields(), data.location) == ({"name": name}, None)


def test_counts_of_published_sets_add_up_to_their_images() -> None:
    from pipeline.lottery.published_data import PUBLISHED

    for known in PUBLISHED.values():
        if known.counts is not None:
            assert (sum(known.counts), len(known.counts)) == (known.images, known.classes)
    assert describe(DATASET.validate_python({"name": "svhn", "classes": (1, 9)}), Path(), None).images == 13861 + 4659


def test_the_halves_of_cifar10_have_names_and_are_the_same_data(tmp_path: Path) -> None:
    a, b = described(tmp_path, name="cifar10a"), described(tmp_path, name="cifar10b", classes=(1, 2))
    assert a == described(tmp_path, name="cifar10", half="a") and a.images == 25_000
    assert b.recipe.fields() == {"name": "cifar10", "half": "b", "classes": [1, 2]} and b.images == 5000
    with pytest.raises(ValueError, match="cifar10a is half a of cifar10"):
        DATASET.validate_python({"name": "cifar10a", "half": "b"})


def test_large_pictures_are_seen_at_seven_eighths_of_what_is_stored(tmp_path: Path) -> None:
    def seen(**options: int) -> tuple[dict[str, Any], tuple[int, ...]]:
        data = described(tmp_path, name="imagenet", **options)
        return data.recipe.fields(), data.shape

    assert seen(resize=256, crop=224) == seen() == ({"name": "imagenet"}, (3, 224, 224))
    assert seen(resize=64) == ({"name": "imagenet", "resize": 64, "crop": 56}, (3, 56, 56))
    assert seen(resize=232) == ({"name": "imagenet", "resize": 232, "crop": 203}, (3, 203, 203))
    assert seen(resize=232, crop=224) == ({"name": "imagenet", "resize": 232, "crop": 224}, (3, 224, 224))
    assert seen(crop=192) == ({"name": "imagenet", "crop": 192}, (3, 192, 192))
    with pytest.raises(UnfitError, match="does not fit into images of 64x64"):
        seen(resize=64, crop=65)


def test_a_selection_of_imagenet_reads_how_many_images_its_classes_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    from pipeline.lottery import published_data

    with pytest.raises(UnfitError, match=r"imagenet lacks meta\.bin, train, val.*ILSVRC2012_img_train"):
        described(tmp_path / "nothing", name="imagenet", half="a")
    small = dataclasses.replace(published_data.PUBLISHED["imagenet"], classes=2, images=5)
    monkeypatch.setitem(published_data.PUBLISHED, "imagenet", small)
    for number in range(5):
        file = tmp_path / "imagenet" / "train" / ("n01" if number < 2 else "n02") / f"{number}.JPEG"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "imagenet" / "val").mkdir()
    (tmp_path / "imagenet" / "meta.bin").touch()
    for hidden in ("train/.DS_Store", "train/n01/.DS_Store", "train/n02/._0.JPEG", "train/.cache/0.JPEG"):
        (tmp_path / "imagenet" / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / "imagenet" / hidden).touch()
    assert described(tmp_path, name="imagenet", half="a").images == 1 + 2
    with pytest.raises(UnfitError, match="only 2 training images of a class"):
        described(tmp_path, name="imagenet", per_class=3)
    prepared = tmp_path / "elsewhere"
    prepared.mkdir()
    (prepared / "prepared.json").write_text('{"train": [1, 4]}')
    data = described(tmp_path, name="imagenet", classes=(1,), prepared=prepared.as_uri())
    assert (data.images, data.location, data.recipe.fields()) == (
        4,
        prepared.as_uri(),
        {"name": "imagenet", "classes": [1]},
    )


def test_a_parquet_folder_is_the_same_data_by_path_and_by_uri(data_root: Path) -> None:
    by_path = described(data_root, name="parquet", path="cifar100")
    by_uri = described(Path("elsewhere"), name="parquet", path=(data_root / "cifar100").resolve().as_uri())
    assert by_path == by_uri and by_path.images == 12_500
    with pytest.raises(UnfitError, match=r"there is no folder /no/such\."):
        described(data_root, name="parquet", path="file:///no/such")
    with pytest.raises(UnfitError, match="nowhere://bucket cannot be opened") as raised:
        described(data_root, name="parquet", path="nowhere://KEY:SECRET@bucket")
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("manifest", ["null", "[1, 4]", '{"train": [[1], null]}', "{"])
def test_a_damaged_manifest_is_named(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "prepared.json").write_text(manifest)
    with pytest.raises(UnfitError, match=r"prepared\.json is damaged: .*`tickets prepare imagenet"):
        described(tmp_path, name="imagenet", half="a", prepared=tmp_path.as_uri())


def test_no_name_tells_the_credentials_of_a_place() -> None:
    from pipeline.experiment.variants import _default_name
    from pipeline.experiment.yaml_nodes import Node, Position
    from pipeline.lottery.locations import Folder, own_name

    where = Position()

    def named(path: str) -> str:
        options = {"name": Node("parquet", where, ""), "path": Node(path, where, "")}
        return _default_name(Node(options, where, ""))

    assert named("s3://KEY:SECRET@bucket?region=x") == "bucket"
    assert named("s3://KEY:SECRET@bucket/some/pets?client_secret=SECRET") == own_name("data/pets") == "pets"
    assert own_name("s3://bucket/a@b") == "a@b"
    folder = Folder("s3://KEY:SECRET@bucket/pets?region=x&client_secret=SECRET")
    assert str(folder) == "s3://bucket/pets?region=x"
    assert folder.shown("a.parquet") == "s3://bucket/pets/a.parquet?region=x"
