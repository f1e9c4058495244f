"""From a YAML file, its `extends:` and `--set` overrides to the spec, with the place of every mistake.

A file with `experiments:` is a collection: it names the files of grids that are run together.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.experiment.errors import IncompleteError, UserError
from pipeline.experiment.merging import overlay, put
from pipeline.experiment.papers import KEY, is_paper, with_paper
from pipeline.experiment.spec import Spec
from pipeline.experiment.user_files import is_file
from pipeline.experiment.validation import validate
from pipeline.experiment.variants import complete
from pipeline.experiment.yaml_nodes import Node, refusal
from pipeline.experiment.yaml_reading import parse, read_file
from pipeline.lottery.credentials import shown

USER_FILE = re.compile(r".+\.py:[A-Za-z_]\w*")
FILE_KEYS = frozenset({"model", "dataset", "criterion", "name"})
"""Whose values may be a file of the user's own, written as USER_FILE."""
MAX_EXTENDS = 20
MAX_FILES = 200
"""That one grid reads, each as often as it is extended."""
COLLECTION = ("name", "description", "experiments")


def load(path: str | Path, overrides: Sequence[str] = ()) -> Spec:
    """The checked spec in `path`. `overrides` are `key.path=value`, the value YAML; they win over the file.

    Raises UserError: `file:line: key.path: what is wrong. Did you mean 'x'?`, a line for each mistake.
    """
    file = Path(path)
    document = _extended(file, (), [])
    if _is_collection(document):
        files = ", ".join(str(member) for member in _members(document, file))
        raise UserError(f"{file} is a collection of experiments, and one is wanted here: {files}.")
    if is_paper(document):
        raise IncompleteError(f"{file} is a paper, which grids name: analysis: {{paper: {file.name}}}.")
    for override in overrides:
        _set(document, override, file)
    return validate(complete(with_paper(document)), str(file))


def load_all(path: str | Path, overrides: Sequence[str] = ()) -> tuple[str, list[Spec]]:
    """The name of the collection in `path` with its specs, or the name of its only spec with that one.

    `overrides` go to each of the specs. Raises UserError.
    """
    file = Path(path)
    document = read_file(file)
    if not _is_collection(document):
        spec = load(file, overrides)
        return spec.name, [spec]
    files = members(file)
    read = {member: load(member, overrides) for member in dict.fromkeys(files)}
    specs = [read[member] for member in files]
    names = [spec.name for spec in specs]
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise refusal(document.at, "experiments", f"two grids have the name {twice[0]!r}: reports go by names.")
    name = document.value["name"].value if "name" in document.value else file.stem
    return str(name), specs


def members(path: str | Path) -> list[Path]:
    """The files of the collection in `path`, or the file itself. Raises UserError."""
    document = read_file(Path(path))
    return _members(document, Path(path)) if _is_collection(document) else [Path(path)]


def bases(path: str | Path) -> list[Path]:
    """The files that the file at `path` itself says it extends. Raises UserError."""
    file = Path(path)
    document = read_file(file)
    if not isinstance(document.value, dict) or "extends" not in document.value:
        return []
    return [_base(name, file, ()) for name in _named(document.value["extends"])]


def _is_collection(document: Node) -> bool:
    return isinstance(document.value, dict) and "experiments" in document.value


def _members(document: Node, file: Path) -> list[Path]:
    """The files that a collection names, relative to its own. Raises UserError for anything else in it."""
    for key, node in document.value.items():
        if key not in COLLECTION:
            raise refusal(node.at, key, f"a collection has {', '.join(COLLECTION)} only; the rest is in its files.")
    listed = document.value["experiments"]
    if not isinstance(listed.value, list) or not listed.value:
        raise refusal(listed.at, "experiments", "should be a list of YAML files.")
    found = []
    for node in listed.value:
        if not isinstance(node.value, str) or not is_file(file.parent / node.value):
            raise refusal(node.at, node.path, f"there is no file {file.parent / str(node.value)}.")
        found.append(file.parent / node.value)
    return found


def _extended(file: Path, above: tuple[Path, ...], read: list[Path]) -> Node:
    """The document laid over those that it extends. `above`: files that extend this one; `read`: all so far."""
    read.append(file)
    document = read_file(file)
    _resolve(document, file.parent)
    if not isinstance(document.value, dict) or "extends" not in document.value:
        return document
    below: Node | None = None
    for name in _named(document.value.pop("extends")):  # each laid over those before it
        if len(read) >= MAX_FILES:
            raise refusal(name.at, "extends", f"more than {MAX_FILES} files are read for one grid.")
        below = overlay(below, _extended(_base(name, file, above), (*above, file.resolve()), read))
    return overlay(below, document)


def _named(extends: Node) -> list[Node]:
    """The names of files in a value of `extends`."""
    return extends.value if isinstance(extends.value, list) else [extends]


def _base(name: Node, file: Path, above: tuple[Path, ...]) -> Path:
    """The file that `file` extends by this name. Raises UserError."""
    if not isinstance(name.value, str):
        raise refusal(name.at, "extends", "should be the name of another YAML file, or a list of them.")
    base = file.parent / name.value
    chain = (*above, file.resolve())
    if base.resolve() in chain:
        raise refusal(name.at, "extends", f"{name.value} extends this file in turn: a circle.")
    if len(chain) > MAX_EXTENDS:
        raise refusal(name.at, "extends", f"more than {MAX_EXTENDS} files extend one another.")
    if not is_file(base):
        raise refusal(name.at, "extends", f"there is no file {base}.")
    return base


def _set(document: Node, override: str, file: Path) -> None:
    path, separator, written = override.partition("=")
    path = path.strip()
    if not separator or not all(path.split(".")):
        raise UserError(
            f"--set {override}: write it as --set key.path=value, for example --set training.batch_size=64."
        )
    value = parse(written, f"--set {shown(override)}", lines=False, path=path)
    # so that a file named here is found from the same folder as one named in the grid
    _resolve(Node({path.rsplit(".", 1)[-1]: value}), file.parent)
    if path == "extends":
        raise UserError(f"--set {override}: extends belongs into the file.")
    put(document, path, value)


def _resolve(node: Node, folder: Path) -> None:
    """Names of files made absolute, from the folder of the file that names them.

    Those are `file.py:name`, `path: ./data` and `paper: paper.yaml`.
    """
    if isinstance(node.value, list):
        for item in node.value:
            _resolve(item, folder)
    elif isinstance(node.value, dict):
        for key, item in node.value.items():
            if not isinstance(item.value, str):
                _resolve(item, folder)
            elif (
                (key in FILE_KEYS and USER_FILE.fullmatch(item.value))
                or (key == "path" and item.value.startswith(("./", "../")))
                or key == KEY
            ):
                item.value = str((folder / item.value).resolve())
