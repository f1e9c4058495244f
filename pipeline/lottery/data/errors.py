"""The error of everything that reads images, and which other errors may pass."""

from pipeline.lottery.locations import Folder, UnusableError


class DataError(ValueError):
    """Images are missing, damaged, or not what the data fields say."""


def may_pass(error: Exception, folder: Folder) -> bool:
    """Whether trying again may help: what a network says of a folder that is not on this machine."""
    lasting = isinstance(error, FileNotFoundError | PermissionError | UnusableError) or not isinstance(error, OSError)
    return folder.elsewhere and not lasting
