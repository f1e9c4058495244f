"""Loaded images kept for the next stage: a lane trains on the same few data sets hundreds of times."""

from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

from pipeline.lottery.data.images import Images
from pipeline.lottery.data.selection import load
from pipeline.recipes.datasets import DataSet


class ImageCache:
    """The most recently used images of one process, at most `limit_bytes` of them; a larger set is loaded, not kept.

    Owned by whoever runs stages. For one thread. What it returns is shared: do not write into it.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self._limit = limit_bytes
        self._kept: OrderedDict[Hashable, Images] = OrderedDict()  # least recently used first

    def get(
        self,
        data: DataSet,
        location: str | None = None,
        *,
        images: str = "auto",
        device: str = "cpu",
        decoders: int = 1,
        share: float = 1.0,
    ) -> Images:
        """As `load`, from memory where the same was loaded before."""
        key = (data, location, images, device, decoders, share)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        loaded = load(data, self._root, location, images=images, device=device, decoders=decoders, share=share)
        if loaded.nbytes <= self._limit:
            self._kept[key] = loaded
            while self.nbytes > self._limit:
                self._kept.popitem(last=False)
        return loaded

    @property
    def nbytes(self) -> int:
        return sum(images.nbytes for images in self._kept.values())
