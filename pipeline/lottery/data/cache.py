"""Loaded images kept for the next stage: a lane trains on the same few data sets hundreds of times."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.lottery.data.images import Images
from pipeline.lottery.data.loading import load


class ImageCache:
    """The most recently used images of one process, at most `limit_bytes` of them; a larger set is loaded, not kept.

    Owned by whoever runs stages. For one thread. What it returns is shared: do not write into it.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self._limit = limit_bytes
        self._kept: OrderedDict[str, Images] = OrderedDict()  # least recently used first

    def get(self, data_fields: Mapping[str, Any], location: str | None = None) -> Images:
        """As `load`, from memory where the same fields and location were loaded before."""
        key = json.dumps([data_fields, location], sort_keys=True)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        images = load(data_fields, self._root, location)
        if images.nbytes <= self._limit:
            self._kept[key] = images
            while self.nbytes > self._limit:
                self._kept.popitem(last=False)
        return images

    @property
    def nbytes(self) -> int:
        return sum(images.nbytes for images in self._kept.values())
