"""From a stage's data fields to images: classes, half, n per class, resize, crop, channels, in this order."""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.lottery.data import subsets
from pipeline.lottery.data.digits import digits
from pipeline.lottery.data.folder import image_folder
from pipeline.lottery.data.geometry import Geometry
from pipeline.lottery.data.images import DataError, Images, statistics
from pipeline.lottery.data.mnist import fashion_mnist, mnist
from pipeline.lottery.data.parquet import parquet
from pipeline.lottery.data.raw import RawSet
from pipeline.lottery.data.user import user

Loader = Callable[[Mapping[str, Any], Path, str | None], RawSet]

LOADERS: dict[str, Loader] = {
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "parquet": parquet,
    "images": image_folder,
    "user": user,
}


def load(data_fields: Mapping[str, Any], root: Path, location: str | None = None) -> Images:
    """The images that the fields describe, on the CPU, with statistics of the training images as they are used.

    `root` is the data root. `location` is the folder of `parquet` and `images` (relative to the root, or absolute) or
    the Python file of `user`; it is where, not what, and so not in the key. The same fields give the same images for
    every seed. Raises DataError for files that are missing, damaged or do not fit the fields, LookupError for an
    unknown name, plugins.PluginError about a user's file.
    """
    name = data_fields["name"]
    if name not in LOADERS:
        near = difflib.get_close_matches(str(name), LOADERS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise LookupError(f"There is no data set {name!r}.{hint} Data sets: {', '.join(LOADERS)}.")
    raw = LOADERS[name](data_fields, Path(root), location)
    kept = subsets.kept_classes(data_fields, raw.classes)
    train = subsets.training_indices(raw.train.labels, kept, data_fields)
    test = subsets.test_indices(raw.test.labels, kept)
    if not len(train) or not len(test):
        raise DataError(
            f"{name}: {len(train)} training and {len(test)} test images are left after classes {kept} and half."
        )
    geometry = Geometry.of(data_fields)
    train_x, test_x = raw.train.read(train, geometry), raw.test.read(test, geometry)
    if train_x.shape[1:] != test_x.shape[1:]:
        raise DataError(
            f"{name}: training images are {list(train_x.shape[1:])} and test images {list(test_x.shape[1:])} "
            "(channels, height, width): set `resize`, `crop` or `channels`."
        )
    mean, std = statistics(train_x)
    return Images(
        train_x=train_x,
        train_y=subsets.relabelled(raw.train.labels[train], kept),
        test_x=test_x,
        test_y=subsets.relabelled(raw.test.labels[test], kept),
        mean=mean,
        std=std,
        classes=len(kept),
    )
