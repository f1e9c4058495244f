"""The folder for what Ray Train, lanes and a Ray of this run put on the disk meanwhile: it goes away with the run."""

import contextlib
import fcntl
import getpass
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "ticket-transfer-lanes-"
LONGEST = 60
"""Characters of a folder in which Python's processes make sockets, whose names may have 107."""


class LaneFolder:
    """A new folder among the temporary ones, locked for as long as this process lives."""

    def __init__(self) -> None:
        # Locked before it has the name that others look for.
        made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
        self._lock = os.open(made, os.O_RDONLY)
        with contextlib.suppress(OSError):  # a file system without locks: nobody removes it but this process
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.path = made.with_name(made.name.removeprefix("."))
        made.rename(self.path)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    @contextlib.contextmanager
    def holding_temporary_files(self) -> Iterator[None]:
        """Processes that are started meanwhile make their temporary files here: killed ones leave theirs behind.

        Ray's session, with its logs, and torch's cache of compiled code stay where they are otherwise.
        """
        place = tempfile.gettempdir()
        os.environ.setdefault("RAY_TMPDIR", place)
        with contextlib.suppress(OSError, KeyError):  # a user without a name
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", f"{place}/torchinductor_{getpass.getuser()}")
        before = os.environ.get("TMPDIR")
        if len(str(self.path)) <= LONGEST:
            os.environ["TMPDIR"] = str(self.path)
        try:
            yield
        finally:
            os.environ.pop("TMPDIR", None)
            if before is not None:
                os.environ["TMPDIR"] = before


def remove_abandoned() -> None:
    """Remove the folders that nobody holds: of drivers that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another user's, or gone by now
            continue
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # its driver lives
            continue
        finally:
            os.close(lock)
