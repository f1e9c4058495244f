"""A user's own data set: a function in a file of theirs.

    def squares(root):                      # the data root, a pathlib.Path
        ...
        return train_x, train_y, test_x, test_y

Images are uint8 [N, C, H, W], labels integers 0, 1, 2, ... [N]; torch tensors or numpy arrays. Classes, halves, n per
class, resizing, cropping, channels and normalization are applied to what it returns, as to every other data set. Give
it no randomness of its own: the key holds the file's source, and the same key must be the same images.
"""

from pathlib import Path

from pipeline.lottery import plugins
from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.raw import RawSet, in_memory, raw_set
from pipeline.recipes.datasets import DataSet


def user(data: DataSet, root: Path, location: str | None) -> RawSet:
    """`location` is the file. Raises plugins.PluginError about the file, DataError about what the function returns."""
    name, source = data.function, data.source
    if name is None or source is None:
        raise DataError("user: no function is given.")
    function = plugins.load(location, name, source)
    where = f"{location}:{name}"
    if not callable(function):
        raise DataError(f"{where} is no function but {type(function).__name__}.")
    try:
        returned = function(root)
    except Exception as error:
        raise DataError(f"{where}({str(root)!r}) failed: {type(error).__name__}: {error}") from error
    if not isinstance(returned, tuple | list) or len(returned) != 4:
        raise DataError(f"{where} must return (train_x, train_y, test_x, test_y), not {type(returned).__name__}.")
    train_x, train_y, test_x, test_y = returned
    return raw_set(in_memory(train_x, train_y, f"{where}, train"), in_memory(test_x, test_y, f"{where}, test"), where)
