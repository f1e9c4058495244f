"""Which pictures an image folder holds, by one rule that planning and training share. Imports no torch.

A class is a folder in train/; its pictures are the files with a known suffix in it and in the folders below. Links are
followed, and a real folder belongs to its part once: where it lies, or else where the first link leads to it. So loops
end. What is hidden (its name begins with a dot) is left out at every depth.
"""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.lottery.content_hashes import File, content_hashes
from pipeline.lottery.counting import count_of, listed
from pipeline.lottery.pictures import SUFFIXES, readable

Identity = tuple[int, int]
"""Device and inode of a real folder."""

LAYOUT = "Expected: train/<class>/<image> and val/<class>/<image> (or test/)."


class FolderError(ValueError):
    """An image folder, or something in it, cannot be used; the message names it."""


@dataclass(frozen=True)
class FolderPart:
    """train/, val/ or test/."""

    folder: Path
    pictures: dict[str, list[File]]
    """By class, in name order; those of a class in path order. Paths are relative to the folder of the part."""
    left_out: Counter[str]
    """Files that are no pictures, by suffix."""
    of_no_class: int
    """Pictures that lie in the folder of the part itself."""
    homes: dict[Identity, str]
    """Path of each real folder that has pictures in it."""
    linked: dict[Identity, str]
    """A link to a picture by the real folder that the picture lies in."""

    def __len__(self) -> int:
        return sum(map(len, self.pictures.values()))


@dataclass(frozen=True)
class ImageFolder:
    """An image folder whose parts have pictures of the same classes."""

    folder: Path
    train: FolderPart
    test: FolderPart

    @property
    def fingerprint(self) -> str:
        """SHA-256 over path and content of every picture. Raises FolderError."""
        return self._compared[0]

    @cached_property
    def _compared(self) -> tuple[str, int]:
        """The fingerprint, and how many test images have the content of a training image."""
        digest = hashlib.sha256()
        of_parts = []
        for part in (self.train, self.test):
            files = [file for of_class in part.pictures.values() for file in of_class]
            try:
                contents = content_hashes(part.folder, files)
            except OSError as error:
                raise FolderError(_unreadable(error, part.folder)) from error
            for file, content in zip(files, contents, strict=True):
                digest.update(os.fsencode(f"{part.folder.name}/{file.path}") + b"\0" + content)
            of_parts.append(contents)
        train, test = set(of_parts[0]), of_parts[1]
        return digest.hexdigest(), sum(content in train for content in test)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what is unusual, though no mistake. Raises FolderError."""
        said = []
        if repeated := self._compared[1]:
            are = "is a training image" if repeated == 1 else "are training images"
            said.append(
                f"{readable(self.folder)}: {repeated:,} of {count_of(len(self.test), 'test image')} {are}, too."
            )
        if self.test.folder.name == "val" and (self.folder / "test").is_dir():
            said.append(f"{readable(self.folder)}: val/ is the test set, test/ is left alone.")
        if absent := [name for name, files in self.test.pictures.items() if not files]:
            said.append(f"{readable(self.test.folder)} has no images of {listed(map(readable, absent), 5)}.")
        for part in (self.train, self.test):
            if part.of_no_class:
                how = "lies in no class folder, and is" if part.of_no_class == 1 else "lie in no class folder, and are"
                said.append(f"{readable(part.folder)}: {count_of(part.of_no_class, 'image')} {how} left out.")
        if left_out := self.train.left_out + self.test.left_out:
            total = sum(left_out.values())
            files = "1 file is" if total == 1 else f"{total:,} files are"
            kinds = ", ".join(f"{count} {readable(suffix)}" for suffix, count in left_out.most_common(5))
            said.append(
                f"{readable(self.folder)}: {files} left out, with a suffix that no picture has that is read: {kinds}."
            )
        return tuple(said)


def image_folder(folder: Path) -> ImageFolder:
    """Raises FolderError: parts or classes are missing, a link is broken, one folder would be of two classes."""
    test = next((folder / name for name in ("val", "test") if (folder / name).is_dir()), None)
    if not (folder / "train").is_dir() or test is None:
        missing = "val/ or test/" if (folder / "train").is_dir() else "train/"
        raise FolderError(f"{readable(folder)} lacks {missing}. {LAYOUT}")
    found = ImageFolder(folder, part_at(folder / "train"), part_at(test))
    _refuse_overlap(found.train, found.test)
    classes = found.train.pictures
    if not classes:
        raise FolderError(f"there are no classes in {readable(found.train.folder)}. {LAYOUT}")
    if unknown := [name for name in found.test.pictures if name not in classes]:
        raise FolderError(
            f"{readable(test)}: {listed(map(readable, unknown), 5)} are no classes of {readable(found.train.folder)}."
        )
    if empty := [name for name, files in classes.items() if not files]:
        raise FolderError(
            f"{readable(found.train.folder)}: no images in {listed(map(readable, empty), 5)}. Remove the folder, or "
            f"add images ({', '.join(SUFFIXES)})."
        )
    if not len(found.test):
        raise FolderError(f"{readable(test)}: no images in any class.")
    found.test.pictures.update({name: found.test.pictures.get(name, []) for name in classes})
    return found


def _refuse_overlap(train: FolderPart, test: FolderPart) -> None:
    """Raises FolderError where a folder or a link gives both parts the same pictures."""
    hint = "its images would be training and test images. Remove the link."
    for identity in (home for home in train.homes if home in test.homes):
        places = train.folder / train.homes[identity], test.folder / test.homes[identity]
        raise FolderError(f"{readable(places[0])} and {readable(places[1])} are one folder: {hint}")
    for part, other in ((train, test), (test, train)):
        for identity in (home for home in part.linked if home in other.homes):
            places = part.folder / part.linked[identity], other.folder / other.homes[identity]
            raise FolderError(f"{readable(places[0])} is a link into {readable(places[1])}: {hint}")


def part_at(folder: Path) -> FolderPart:
    """The pictures of one part, whatever classes it has. Raises FolderError."""
    walk = _Walk(str(folder))
    of_no_class = 0
    for entry, status in _entries(str(folder)):
        if stat.S_ISDIR(status.st_mode):
            walk.enter(entry.name, entry.name, linked=False)
        else:
            of_no_class += entry.name.lower().endswith(SUFFIXES)
    while walk.links:
        links, walk.links = sorted(walk.links), []
        for name, path in links:
            if not _leads_up(walk.at(path)):
                walk.enter(name, path, linked=True)
    return FolderPart(
        folder,
        {name: sorted(files, key=lambda file: os.fsencode(file.path)) for name, files in walk.pictures.items()},
        walk.left_out,
        of_no_class,
        walk.homes,
        walk.linked,
    )


class _Walk:
    """Real folders are entered before links are followed, so that a folder has the class of the place where it lies."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.pictures: dict[str, list[File]] = {}
        self.left_out: Counter[str] = Counter()
        self.links: list[tuple[str, str]] = []
        """Class and path of links to folders that are to be followed."""
        self.homes: dict[Identity, str] = {}
        self.linked: dict[Identity, str] = {}
        self._linked_folders: set[str] = set()
        real = Path(part).resolve()
        # From there a link would bring in the other part, or the whole disk.
        self._around = {_identity(str(folder)) for folder in (real, *real.parents)}
        self._entered: dict[Identity, tuple[str, str, bool]] = {}
        """Class, path and whether a link led there, of each real folder by device and inode."""

    def at(self, path: str) -> str:
        return f"{self.part}/{path}"

    def enter(self, name: str, path: str, linked: bool) -> None:
        """Collect what is in the folder and below it for the class `name`, but for folders that were entered before."""
        self.pictures.setdefault(name, [])
        folders = [path]
        while folders:
            path = folders.pop()
            identity = _identity(self.at(path))
            if identity in self._around:
                continue
            if identity in self._entered:
                owner, first, by_link = self._entered[identity]
                if owner != name and linked == by_link:
                    raise FolderError(
                        f"{readable(self.at(first))} and {readable(self.at(path))} are one folder: its images would be "
                        "of two classes. Remove one of the links."
                    )
                continue
            self._entered[identity] = name, path, linked
            for entry, status in _entries(self.at(path)):
                inside = f"{path}/{entry.name}"
                if not stat.S_ISDIR(status.st_mode):
                    if self._take(name, inside, status):
                        self._keep_home(inside, identity, entry.is_symlink())
                elif entry.is_symlink():
                    self.links.append((name, inside))
                else:
                    folders.append(inside)

    def _keep_home(self, picture: str, folder: Identity, is_link: bool) -> None:
        self.homes.setdefault(folder, picture.rpartition("/")[0])
        if not is_link:
            return
        place = self.at(picture)
        target = os.path.dirname(os.path.join(os.path.dirname(place), os.readlink(place)))  # noqa: PTH115, PTH118, PTH120 (as below)
        if target not in self._linked_folders:
            self._linked_folders.add(target)
            self.linked.setdefault(_identity(target), picture)

    def _take(self, name: str, path: str, status: os.stat_result) -> bool:
        """Whether it is a picture."""
        if not path.lower().endswith(SUFFIXES):
            self.left_out[Path(path).suffix.lower() or "(none)"] += 1
            return False
        if stat.S_ISREG(status.st_mode):
            self.pictures[name].append(File(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
            return True
        raise FolderError(f"{readable(self.at(path))} is no file, though it is called like an image.")


def _entries(folder: str) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """What is in a folder and not hidden, in name order, with the status of what links lead to."""
    try:
        with os.scandir(folder) as entries:
            visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise FolderError(_unreadable(error, folder)) from error
    for entry in visible:
        try:
            status = entry.stat()
        except OSError as error:
            if entry.is_symlink():
                raise FolderError(f"{readable(entry.path)} is a link that leads nowhere: {error.strerror}.") from error
            raise FolderError(_unreadable(error, entry.path)) from error
        yield entry, status


def _identity(folder: str) -> Identity:
    try:
        status = os.stat(folder)  # noqa: PTH116 (a million folders: strings are enough)
    except OSError as error:
        raise FolderError(_unreadable(error, folder)) from error
    return status.st_dev, status.st_ino


def _leads_up(link: str) -> bool:
    """Whether a link leads to a folder that it is in itself."""
    inside, target = os.path.realpath(Path(link).parent), os.path.realpath(link)
    return os.path.commonpath([inside, target]) == target


def _unreadable(error: OSError, place: str | Path) -> str:
    return f"{readable(error.filename or place)} cannot be read: {error.strerror or error}."
