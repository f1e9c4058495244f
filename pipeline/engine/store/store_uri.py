"""From a store's URI to its folder, or to an error that says what would work."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine.addresses import shown
from pipeline.engine.store.filesystem import StoreFolder
from pipeline.engine.store.local import LocalFolder
from pipeline.engine.store.patience import Patience, StoreAwayError, StoreError
from pipeline.engine.store.remote import RemoteFolder
from pipeline.experiment.errors import UserError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_EXPECTED = "Use a folder, file:///folder, s3://bucket/folder or gs://bucket/folder (--store or TICKETS_STORE)."

_TIMEOUTS = {"connect_timeout": 10.0, "request_timeout": 30.0}
"""Seconds in which S3 must take a connection, and send a byte of an answer. The AWS SDK's own are 3 s or less: a busy
server would never answer in time, however often it is asked."""
_KEPT_BY_PYARROW = ("tls_verify_certificates", "tls_ca_dir_path", "smart_defaults")
"""Parameters of an S3 URI that pyarrow takes nowhere else."""


def absolute(uri: str | Path) -> str:
    """The URI as it means the same in every working directory."""
    text = str(uri)
    return text if "://" in text else str(Path(text).expanduser().absolute())


def open_folder(uri: str, create: bool) -> StoreFolder:
    """Open what `absolute` returned; UserError if there is no such place, or no way to use it.

    StoreAwayError if nobody answers there.
    """
    if "://" not in uri:
        return _local(uri, Path(uri), create)
    patience = Patience(shown(uri))
    try:
        # With a patience of its own: where the address has it all, nothing is asked and nothing has answered yet.
        filesystem, base = Patience(shown(uri))(lambda: _remote(uri))
        if filesystem.type_name == "local":
            return _local(uri, Path(base), create)
        _check_bucket(filesystem, base, patience)
    except StoreAwayError:
        raise
    except StoreError as error:
        raise UserError(f"{error}.") from error
    # pyarrow: ArrowInvalid is a ValueError, ArrowNotImplementedError a NotImplementedError, the rest are OSErrors.
    except (OSError, ValueError, NotImplementedError) as error:
        raise UserError(
            f"The store {shown(uri)!r} cannot be opened: {shown(_first_line(error))}. {_EXPECTED}"
        ) from error
    return RemoteFolder(filesystem, base, patience)


def _remote(uri: str) -> tuple[FileSystem, str]:
    """The file system and the path in it that a URI names. On S3, requests are made once: `patience` repeats them."""
    from pyarrow.fs import FileSystem

    filesystem, base = FileSystem.from_uri(uri)
    if filesystem.type_name != "s3" or any(f"{name}=" in uri for name in _KEPT_BY_PYARROW):
        return filesystem, base
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    # As pickling does it: the settings, and credentials that the URI has, are those of the first one.
    _, (settings,) = filesystem.__reduce__()
    once = AwsStandardS3RetryStrategy(max_attempts=1)
    # A delayed open writes an object of up to 10 MB by one request instead of three (measured), so that a writer who is
    # killed leaves no parts of it behind.
    own = {**_TIMEOUTS, "retry_strategy": once, "allow_delayed_open": True}
    return S3FileSystem(**{**settings, **own}), base


def _local(uri: str, root: Path, create: bool) -> StoreFolder:
    try:
        return LocalFolder(root, create)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"The store {shown(uri)!r} cannot be opened: {reason} ({error.filename or root}). "
            f"Choose a folder that can be written. {_EXPECTED}"
        ) from error


def _check_bucket(filesystem: FileSystem, base: str, patience: Patience) -> None:
    if filesystem.type_name not in ("s3", "gcs"):
        return
    from pyarrow.fs import FileSelector

    bucket = base.split("/")[0]
    try:
        missing = not patience(lambda: filesystem.get_file_info(bucket)).type
    except OSError:
        # Credentials for the store's prefix alone may not ask for the bucket; and others are told by a listing what
        # is wrong with them, while the answer to this question is a number.
        missing = False
        with contextlib.suppress(FileNotFoundError):  # an empty store
            patience(lambda: filesystem.get_file_info(FileSelector(base)))
    if missing:
        raise FileNotFoundError(f"there is no bucket {bucket!r}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(". ") if str(error) else type(error).__name__
