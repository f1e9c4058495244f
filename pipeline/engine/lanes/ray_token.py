"""Ray's token, which lets whoever reads it run code: made and kept so that its owner alone reads it.

Ray makes it by a plain open, readable by all under the usual umask. It finds the same token, in the same format,
where this has made it first.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from pipeline.engine.jobs.cluster import MODE, TOKEN
from pipeline.engine.jobs.server import TOKEN_FILE
from pipeline.experiment.errors import UserError


def keep_token_private(make: bool) -> list[str]:
    """See to it that the file of Ray's token is its owner's alone; what was mended, in words.

    `make`: make one where there is none, for a Ray that is about to start. Several processes may: all have the token of
    the first. Raises UserError for a token that others own or that cannot be closed to them.
    """
    if os.environ.get(MODE, "token").lower() != "token" or os.environ.get(TOKEN, "").strip():
        return []
    file = token_file()
    mended = _close_folder(file.parent) if file == _default() else []
    if make and not _has_token(file):
        _make(file)
    return mended + _close(file)


def token_file() -> Path:
    """Where Ray looks for its token."""
    named = os.environ.get(TOKEN_FILE)
    return Path(named).expanduser() if named else _default()


def _default() -> Path:
    return Path.home() / ".ray" / "auth_token"


def _has_token(file: Path) -> bool:
    try:
        return bool(file.read_text().strip())
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise UserError(f"Ray's token cannot be read from {file}: {error}. Remove it, or set {TOKEN_FILE}.") from error


def _make(file: Path) -> None:
    beside = file.parent / f".{file.name}-{secrets.token_hex(8)}"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
                new.write(secrets.token_hex(32))
                new.flush()
                os.fsync(new.fileno())
            try:
                os.link(beside, file)
            except OSError:  # it exists, or the file system has no hard links
                if not _has_token(file):  # nor has another process made it: a killed one, or a full disk, left it empty
                    beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"Ray's token cannot be written to {file}: {error.strerror}. Name another file with {TOKEN_FILE}."
        ) from error


def _close(file: Path) -> list[str]:
    try:
        found = file.stat()
    except OSError:  # there is none: Ray says so
        return []
    if file != _default() and (_is_lent(file) or _is_out_of_reach(file.parent)):
        return []
    if found.st_uid not in (os.geteuid(), 0):
        raise UserError(
            f"Ray's token {file} belongs to another user, who could run code in this Ray. Remove it, or name a file of "
            f"your own with {TOKEN_FILE}."
        )
    if found.st_uid != os.geteuid() or not stat.S_IMODE(found.st_mode) & 0o077:
        return []
    _make_private(file, 0o600)
    return [
        f"Ray's token {file} could be read by other users of this machine; now it is yours alone (0600). If somebody "
        "may have read it, remove it while no Ray runs: the next run makes another."
    ]


def _close_folder(folder: Path) -> list[str]:
    try:
        found = folder.stat()
    except OSError:  # it is made with the token
        return []
    if found.st_uid != os.geteuid() or not stat.S_IMODE(found.st_mode) & 0o077:
        return []
    _make_private(folder, 0o700)
    return []


def _make_private(path: Path, mode: int) -> None:
    with contextlib.suppress(OSError):
        path.chmod(mode)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UserError(
            f"{path} is open to other users, and its mode cannot be changed: Ray's token must be its owner's alone. "
            f"Name a file on another disk with {TOKEN_FILE}."
        )


def _is_lent(file: Path) -> bool:
    """Mounted for this process to read, as a container's secrets are: who may read it is decided outside."""
    return bool(os.statvfs(file).f_flag & os.ST_RDONLY)


def _is_out_of_reach(folder: Path) -> bool:
    """A folder of ours that no other user enters, as docker/secrets, whose files the users in containers must read."""
    found = folder.stat()
    return found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o033
