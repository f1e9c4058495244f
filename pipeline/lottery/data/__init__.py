"""Images by name, as uint8 tensors. A new data set is one loader and one line in the registry."""

from pipeline.lottery.data.cache import ImageCache
from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.images import Images
from pipeline.lottery.data.loading import LOADERS, load

__all__ = ["LOADERS", "DataError", "ImageCache", "Images", "load"]
