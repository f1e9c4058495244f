"""Images by name, as uint8 tensors. A new data set is one loader, and an entry of its facts."""

from pipeline.lottery.data.cache import ImageCache
from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.images import Images
from pipeline.lottery.data.selection import load

__all__ = ["DataError", "ImageCache", "Images", "load"]
