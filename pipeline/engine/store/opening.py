"""From a store's URI to its folder, or to an error that says what would work."""

from pathlib import Path
from typing import Any

from pipeline.engine.addresses import shown
from pipeline.engine.store.filesystem import Folder
from pipeline.engine.store.local import LocalFolder
from pipeline.engine.store.remote import RemoteFolder
from pipeline.experiment.errors import UserError

_EXPECTED = "Use a folder, file:///folder, s3://bucket/folder or gs://bucket/folder (--store or TICKETS_STORE)."


def absolute(uri: str | Path) -> str:
    """The URI as it means the same in every working directory."""
    text = str(uri)
    return text if "://" in text else str(Path(text).expanduser().absolute())


def open_folder(uri: str, create: bool) -> Folder:
    """Open what `absolute` returned; UserError if there is no such place, or no way to use it."""
    if "://" not in uri:
        return _local(uri, Path(uri), create)
    from pyarrow.fs import FileSystem, LocalFileSystem

    try:
        filesystem, base = FileSystem.from_uri(uri)
        if isinstance(filesystem, LocalFileSystem):
            return _local(uri, Path(base), create)
        _check_bucket(filesystem, base)
    # pyarrow: ArrowInvalid is a ValueError, ArrowNotImplementedError a NotImplementedError, the rest are OSErrors.
    except (OSError, ValueError, NotImplementedError) as error:
        raise UserError(
            f"The store {shown(uri)!r} cannot be opened: {shown(_first_line(error))}. {_EXPECTED}"
        ) from error
    return RemoteFolder(filesystem, base)


def _local(uri: str, root: Path, create: bool) -> Folder:
    try:
        return LocalFolder(root, create)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"The store {shown(uri)!r} cannot be opened: {reason} ({error.filename or root}). "
            f"Choose a folder that can be written. {_EXPECTED}"
        ) from error


def _check_bucket(filesystem: Any, base: str) -> None:
    if filesystem.type_name not in ("s3", "gcs"):
        return
    bucket = base.split("/")[0]
    try:
        missing = not filesystem.get_file_info(bucket).type
    except OSError:  # credentials for the store's prefix alone may not ask for the bucket
        missing = False
        filesystem.get_file_info(base)
    if missing:
        raise FileNotFoundError(f"there is no bucket {bucket!r}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(". ") if str(error) else type(error).__name__
