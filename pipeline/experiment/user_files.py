"""A user's own model, data set or criterion, written `file.py:name`: found and hashed, never imported here."""

import ast
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from pipeline.experiment.suggestions import did_you_mean
from pipeline.recipes.errors import UnfitError


class AbsentDataError(UnfitError):
    """Planning needs a data set's files, and they are not there."""


def split_reference(reference: str) -> tuple[str, str]:
    """ "dir/my_models.py:Net" -> ("dir/my_models.py", "Net")."""
    file, _, name = reference.rpartition(":")
    return file, name


def is_file(path: Path) -> bool:
    """Whether there is such a file; no name is too long, and no folder too private, for the answer to be no."""
    try:
        return path.is_file()
    except OSError:
        return False


def source_of(reference: str) -> tuple[Path, str, str]:
    """File, name and SHA-256 of the file's bytes. Raises UnfitError if there is no such file or no such name in it."""
    written, name = split_reference(reference)
    file = Path(written)
    if not is_file(file):
        raise UnfitError(f"there is no file {file}.")
    digest, names = _read(file, file.stat().st_mtime_ns)
    if name not in names:
        raise UnfitError(f"{file.name} defines no {name!r}.{did_you_mean(name, names)}")
    return file.resolve(), name, digest


def check_parameters(reference: str, parameters: Sequence[str]) -> None:
    """Raises UnfitError where the file defines the function, and it cannot be called with these, by position."""
    file, name = split_reference(reference)
    node = _read(Path(file), Path(file).stat().st_mtime_ns)[1][name]
    if isinstance(node, ast.FunctionDef):
        taken = len(node.args.posonlyargs) + len(node.args.args)
        required = taken - len(node.args.defaults)
        enough = taken >= len(parameters) or node.args.vararg is not None
        if required > len(parameters) or not enough or None in node.args.kw_defaults:
            raise UnfitError(
                f"{Path(file).name}, line {node.lineno}: {name}({ast.unparse(node.args)}) should take "
                f"({', '.join(parameters)})."
            )


@lru_cache(maxsize=64)
def _read(file: Path, changed: int) -> tuple[str, dict[str, ast.stmt]]:
    """SHA-256 and top-level names with what defines them; `changed` makes an edited file another entry of the cache."""
    text = file.read_bytes()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise UnfitError(f"{file.name}, line {getattr(error, 'lineno', '?')}: not valid Python.") from None
    names: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name, node) for alias in node.names)
        elif isinstance(node, ast.Assign):
            names.update((target.id, node) for target in node.targets if isinstance(target, ast.Name))
    return hashlib.sha256(text).hexdigest(), names
