"""A user's own model, data set or rule from one Python file of theirs, checked against the hash that is in the key."""

import hashlib
import sys
import traceback
from pathlib import Path
from types import ModuleType


class PluginError(ValueError):
    """The user's file is missing, changed, does not run, or lacks the name that is asked for."""


def load(file: str | Path | None, name: str, source: str) -> object:
    """The object `name` that `file` defines.

    `source` is the SHA-256 (hexadecimal) of the file's bytes as the stage's key has it: exactly the bytes that were
    hashed are run. A file is run once a process, so a class keeps its identity from one stage to the next.
    Only the file itself is in the key: it may import installed packages, but no file beside it.
    Raises PluginError.
    """
    if file is None:
        raise PluginError(
            f"{name!r} comes from a file of the user's, but no file was given. Name it as `file.py:{name}`."
        )
    path = Path(file)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise PluginError(
            f"{path}: cannot be read ({error.strerror}); {name!r} is to come from there. "
            "Every node needs the file at this path."
        ) from error
    found = hashlib.sha256(text).hexdigest()
    if found != source:
        raise PluginError(
            f"{path}: not the file that was planned with (SHA-256 {found[:12]}..., in the key {source[:12]}...). "
            "It was edited since, or this node has another version: give every node the same file and run again."
        )
    module = _module(path, text, found)
    if not hasattr(module, name):
        public = sorted(n for n, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__)
        raise PluginError(f"{path}: defines no {name!r}. It defines: {', '.join(public) or 'nothing'}.")
    found_there: object = getattr(module, name)
    return found_there


def _module(path: Path, text: bytes, sha256: str) -> ModuleType:
    """Run once and registered under the hash: dataclasses and typing look their module up in sys.modules."""
    qualified = f"pipeline_plugin_{sha256[:16]}"
    if qualified in sys.modules:
        return sys.modules[qualified]
    module = ModuleType(qualified)
    module.__file__ = str(path)
    sys.modules[qualified] = module
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[qualified]
        raise PluginError(f"{path}:{_line(error, path)}: {type(error).__name__}: {error}") from error
    return module


def _line(error: BaseException, path: Path) -> int:
    """The last line of the user's file that the error went through."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return (lines[-1] if lines else None) or 1
