"""A store's folder on a disk: plain files, replaced atomically.

A folder in the place of a file counts as an empty file, which no hash fits: it is named as such a file would be. It is
set aside, as is a file in the place of a folder, when what belongs there is written or discarded.
"""

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.engine.store import layout
from pipeline.engine.store.filesystem import Listed
from pipeline.engine.store.patience import StoreRefusedError

TEMPORARY = ".tmp-"
"""Begins the names of files that are being written, and of what was set aside: no name of a store begins so."""

UNWRITABLE = {errno.ENOSPC: "make room", errno.EDQUOT: "make room", errno.EROFS: "make it writable"}
"""Why nothing more can be written at all, and what to do: the run ends, since every stage would fail."""


class LocalFolder:
    """A `StoreFolder` on a local or mounted file system."""

    def __init__(self, root: Path, create: bool = True) -> None:
        """Make `root` if need be, and if `create`. OSError where that cannot be."""
        self.root = root
        if create or (root.exists() and not root.is_dir()):
            root.mkdir(parents=True, exist_ok=True)

    def read(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except IsADirectoryError:
            return b""
        except NotADirectoryError:  # a file is in the place of one of its folders
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.root / path)) from None

    def read_line(self, listed: Listed) -> bytes:
        return self.read(listed.path)

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        target = self.root / path
        with self._prepared(target, data, durable) as temporary:
            try:
                temporary.replace(target)
            except IsADirectoryError:
                self._set_aside(target)
                temporary.replace(target)
        if durable:
            _sync_folder(target.parent)

    def create(self, path: str, data: bytes) -> bool:
        target = self.root / path
        with self._prepared(target, data, durable=False) as temporary:
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError:  # a mounted file system without hard links
                if target.exists():
                    return False
                temporary.replace(target)
        return True

    def stat(self, path: str) -> Listed | None:
        try:
            found = (self.root / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if stat.S_ISDIR(found.st_mode) else Listed(path, found.st_size, found.st_mtime_ns)

    def files(self, path: str) -> list[Listed]:
        return [listed for listed, temporary in self._walk(path) if not temporary]

    def leftovers(self) -> list[Listed]:
        return [listed for listed, temporary in self._walk("") if temporary]

    def misplaced(self) -> list[Listed]:
        return [found for area in layout.AREAS if (found := self.stat(area)) is not None]

    def delete(self, path: str) -> None:
        target = self.root / path
        if target.is_dir() and not target.is_symlink():
            self._set_aside(target)
        else:
            with contextlib.suppress(NotADirectoryError):  # a file is in the place of one of its folders
                target.unlink(missing_ok=True)
        if path.count("/") > 1:  # a stage's own folder, not an area that others are about to write into
            with contextlib.suppress(OSError):  # other files are in it
                target.parent.rmdir()

    def delete_folder(self, path: str) -> None:
        shutil.rmtree(self.root / path, ignore_errors=True)

    def _walk(self, path: str) -> Iterator[tuple[Listed, bool]]:
        # Not pyarrow's listing: files and folders come and go while this runs, which is no error here.
        folders = [path]
        while folders:
            folder = folders.pop()
            prefix = f"{folder}/" if folder else ""
            try:
                with os.scandir(self.root / folder) as entries:
                    for entry in entries:
                        path, temporary = prefix + entry.name, entry.name.startswith(TEMPORARY)
                        is_folder = entry.is_dir(follow_symlinks=False)
                        if is_folder and not temporary and not layout.is_of_file(path):
                            folders.append(path)
                            continue
                        try:
                            found = entry.stat()
                        except FileNotFoundError:  # gone since the folder was read
                            continue
                        yield Listed(path, 0 if is_folder else found.st_size, found.st_mtime_ns), temporary
            except (FileNotFoundError, NotADirectoryError):
                continue

    @contextlib.contextmanager
    def _prepared(self, target: Path, data: bytes, durable: bool) -> Iterator[Path]:
        """A complete temporary file beside `target`, removed afterwards if it is still there."""
        temporary = _new_name(target.parent)
        try:
            with os.fdopen(self._open_new(temporary), "wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            yield temporary
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise StoreRefusedError(
                f"The store {self.root} cannot be written: {os.strerror(error.errno)}. What is finished is there: "
                f"{UNWRITABLE[error.errno]}, or choose another folder (--store)"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _open_new(self, path: Path) -> int:
        for _ in range(10):
            self._make_folder(path.parent)
            # Another process may have removed the empty folder in between.
            with contextlib.suppress(FileNotFoundError):
                # 0o666: the umask decides whether others may read, as for any file; tempfile would say 0o600.
                return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        raise FileNotFoundError(f"{path.parent} is removed as often as it is made")

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if folder != self.root:
            self._make_folder(folder.parent)
        with contextlib.suppress(FileNotFoundError):  # its parent was removed; the caller tries again
            try:
                folder.mkdir(exist_ok=True)
            except FileExistsError:  # a file
                self._set_aside(folder)
                folder.mkdir(exist_ok=True)
            _sync_folder(folder.parent)

    def _set_aside(self, misplaced: Path) -> None:
        """Under a temporary file's name, so that nothing is lost that somebody put there; another may be faster."""
        with contextlib.suppress(FileNotFoundError):
            misplaced.rename(_new_name(misplaced.parent))


def _new_name(folder: Path) -> Path:
    return folder / f"{TEMPORARY}{secrets.token_hex(8)}"


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # FUSE mounts cannot, and emptied folders are removed by others
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
