"""From a YAML file, its `extends:` and `--set` overrides to the spec, with the place of every mistake."""

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.experiment.errors import UserError
from pipeline.experiment.merging import overlay, put, without_nulls
from pipeline.experiment.spec import Spec
from pipeline.experiment.validation import validate
from pipeline.experiment.variants import complete
from pipeline.experiment.yaml_nodes import Node, refusal
from pipeline.experiment.yaml_reading import parse, read_file

_USER_FILE = re.compile(r".+\.py:[A-Za-z_]\w*")
_KEYS = frozenset({"model", "dataset", "criterion", "name"})
MAX_EXTENDS = 20


def load(path: str | Path, overrides: Sequence[str] = ()) -> Spec:
    """The checked spec in `path`. `overrides` are `key.path=value`, the value YAML; they win over the file.

    Raises UserError: `file:line: key.path: what is wrong. Did you mean 'x'?`, a line for each mistake.
    """
    file = Path(path)
    document = _extended(file, ())
    for override in overrides:
        _set(document, override, file)
    return validate(complete(without_nulls(document)), str(file))


def _extended(file: Path, above: tuple[Path, ...]) -> Node:
    document = read_file(file)
    _resolve(document, file.parent)
    if not isinstance(document.value, dict) or "extends" not in document.value:
        return document
    extends = document.value.pop("extends")
    if not isinstance(extends.value, str):
        raise refusal(extends.at, "extends", "should be the name of another YAML file.")
    base = file.parent / extends.value
    chain = (*above, file.resolve())
    if base.resolve() in chain:
        raise refusal(extends.at, "extends", f"{extends.value} extends this file in turn: a circle.")
    if len(chain) > MAX_EXTENDS:
        raise refusal(extends.at, "extends", f"more than {MAX_EXTENDS} files extend one another.")
    if not base.is_file():
        raise refusal(extends.at, "extends", f"there is no file {base}.")
    return overlay(_extended(base, chain), document)


def _set(document: Node, override: str, file: Path) -> None:
    path, separator, written = override.partition("=")
    path = path.strip()
    if not separator or not all(path.split(".")):
        raise UserError(
            f"--set {override}: write it as --set key.path=value, for example --set training.batch_size=64."
        )
    value = parse(written, f"--set {override}", lines=False, path=path)
    # so that a file named here is found from the same folder as one named in the grid
    _resolve(Node({path.rsplit(".", 1)[-1]: value}), file.parent)
    if path == "extends":
        raise UserError(f"--set {override}: extends belongs into the file.")
    put(document, path, value)


def _resolve(node: Node, folder: Path) -> None:
    """Names of files made absolute, from the folder of the file that names them: `file.py:name`, and `path: ./data`."""
    if isinstance(node.value, list):
        for item in node.value:
            _resolve(item, folder)
    elif isinstance(node.value, dict):
        for key, item in node.value.items():
            if not isinstance(item.value, str):
                _resolve(item, folder)
            elif (key in _KEYS and _USER_FILE.fullmatch(item.value)) or (
                key == "path" and item.value.startswith(("./", "../"))
            ):
                item.value = str((folder / item.value).resolve())
