"""A store's folder on a disk: plain files, replaced atomically."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.engine.store.filesystem import Listed

TEMPORARY = ".tmp-"


class LocalFolder:
    """A `Folder` on a local or mounted file system."""

    def __init__(self, root: Path, create: bool = True) -> None:
        """Make `root` if need be, and if `create`. OSError where that cannot be."""
        self.root = root
        if create or (root.exists() and not root.is_dir()):
            root.mkdir(parents=True, exist_ok=True)

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def read_line(self, listed: Listed) -> bytes:
        return self.read(listed.path)

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        target = self.root / path
        with self._prepared(target, data, durable) as temporary:
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
        return Listed(path, found.st_size, found.st_mtime_ns)

    def files(self, path: str) -> list[Listed]:
        return [listed for listed, temporary in self._walk(path) if not temporary]

    def leftovers(self) -> list[Listed]:
        return [listed for listed, temporary in self._walk("") if temporary]

    def delete(self, path: str) -> None:
        target = self.root / path
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
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(prefix + entry.name)
                            continue
                        try:
                            found = entry.stat()
                        except FileNotFoundError:  # gone since the folder was read
                            continue
                        listed = Listed(prefix + entry.name, found.st_size, found.st_mtime_ns)
                        yield listed, entry.name.startswith(TEMPORARY)
            except (FileNotFoundError, NotADirectoryError):
                continue

    @contextlib.contextmanager
    def _prepared(self, target: Path, data: bytes, durable: bool) -> Iterator[Path]:
        """A complete temporary file beside `target`, removed afterwards if it is still there."""
        temporary = target.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
        try:
            with os.fdopen(self._open_new(temporary), "wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            yield temporary
        finally:
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
            folder.mkdir(exist_ok=True)
            _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # FUSE mounts cannot, and emptied folders are removed by others
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
