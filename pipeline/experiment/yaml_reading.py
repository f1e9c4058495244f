"""YAML read with the file and line of every key; what could exhaust memory or time is refused first."""

import re
from pathlib import Path
from typing import Any

import yaml

from pipeline.experiment.errors import UserError
from pipeline.experiment.yaml_nodes import Node, Position, refusal
from pipeline.lottery.credentials import holds_secret

MAX_FILE = 1_000_000
MAX_SCALAR = 64_000
MAX_NODES = 50_000
MAX_DEPTH = 50
CREDENTIALS = (
    "holds a password or a key, and a grid goes as it is into the store, into MLflow and into the report. Write the "
    "address without it, and give it to the machines: AWS_SHARED_CREDENTIALS_FILE, AWS_ACCESS_KEY_ID, ..."
)

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
# YAML 1.1 reads 1e-4 as a string; nobody who writes it means one.
_FLOAT = re.compile(r"[-+]?(\d++\.?+\d*+|\.\d++)[eE][-+]?\d++")


def read_file(path: Path) -> Node:
    """The file's document. Raises UserError with the line for everything that is not a plain, modest YAML document."""
    if path.is_dir():
        raise UserError(f"{path}: a folder; name the YAML file of a grid.")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file.")
    if path.stat().st_size > MAX_FILE:
        raise UserError(f"{path}: larger than {MAX_FILE:,} bytes; a grid is a short text.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}).") from None
    return parse(text, str(path))


def parse(text: str, file: str, *, lines: bool = True, path: str = "") -> Node:
    """The document in `text`, every value with its position; `lines=False` for a value given on the command line."""

    def where(mark: Any) -> Position:
        return Position(file, mark.line + 1 if lines and mark is not None else None)

    try:
        _check_events(text, where)
        composed = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise refusal(where(error.problem_mark or error.context_mark), path, f"not valid YAML: {problem}.") from None
    except yaml.YAMLError as error:
        raise refusal(Position(file), path, f"not valid YAML: {str(error).splitlines()[0]}.") from None
    if composed is None:
        return Node(None, Position(file, 1 if lines else None), path)
    return _Expansion(where).expand(composed, where(composed.start_mark), path)


def _check_events(text: str, where: Any) -> None:
    """Depth and scalar sizes, from the flat stream of events: composing recurses, and must not meet deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise refusal(where(event.start_mark), "", f"nested more than {MAX_DEPTH} levels deep.")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_SCALAR:
            raise refusal(where(event.start_mark), "", f"a value of more than {MAX_SCALAR:,} characters.")


class _Expansion:
    """Copies composed nodes, aliases expanded, merges applied, every copy counted."""

    def __init__(self, where: Any) -> None:
        self.where = where
        self.count = 0
        self.open: set[int] = set()

    def expand(self, node: Any, at: Position, path: str) -> Node:
        self.count += 1
        if self.count > MAX_NODES:
            raise refusal(at, path, f"anchors and aliases expand to more than {MAX_NODES:,} values.")
        if isinstance(node, yaml.ScalarNode):
            return Node(self._scalar(node, at, path), at, path)
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            raise refusal(at, path, f"the tag {node.tag!r} is not supported; write plain mappings and lists.")
        if id(node) in self.open:
            raise refusal(at, path, "an anchor that contains itself.")
        self.open.add(id(node))
        value: Any
        if isinstance(node, yaml.MappingNode):
            value = self._mapping(node, path)
        else:
            value = [
                self.expand(item, self.where(item.start_mark), f"{path}.{index}" if path else str(index))
                for index, item in enumerate(node.value)
            ]
        self.open.discard(id(node))
        return Node(value, at, path)

    def _mapping(self, node: Any, path: str) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in node.value:
            at = self.where(key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                raise refusal(at, path, "a key has to be a name.")
            if key.tag == _TAG + "merge":
                for name, inherited in self._merge(value, at, path).items():
                    merged.setdefault(name, inherited)
                continue
            name = str(key.value)
            below = f"{path}.{name}" if path else name
            if name in own:
                raise refusal(at, below, f"the key is given twice (first in line {own[name].at.line}).")
            own[name] = self.expand(value, at, below)
        return merged | own

    def _merge(self, value: Any, at: Position, path: str) -> dict[str, Node]:
        """`<<: *anchor` or `<<: [*first, *second]`: of equal keys, the first mapping's counts."""
        merged: dict[str, Node] = {}
        for mapping in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(mapping, yaml.MappingNode):
                raise refusal(at, path, "<< merges mappings only.")
            for name, inherited in self.expand(mapping, at, path).value.items():
                merged.setdefault(name, inherited)
        return merged

    def _scalar(self, node: Any, at: Position, path: str) -> object:
        kind = node.tag.removeprefix(_TAG)
        if kind in ("str", "timestamp", "value"):
            if holds_secret(node.value):
                raise refusal(at, path, CREDENTIALS)
            plain = node.style is None or node.style == ""
            return float(node.value) if plain and _FLOAT.fullmatch(node.value) else node.value
        read = {
            "int": yaml.SafeLoader.construct_yaml_int,
            "float": yaml.SafeLoader.construct_yaml_float,
            "bool": yaml.SafeLoader.construct_yaml_bool,
            "null": yaml.SafeLoader.construct_yaml_null,
        }.get(kind)
        if read is None:
            raise refusal(at, path, f"the tag {node.tag!r} is not supported; write plain values.")
        try:
            return read(yaml.SafeLoader(""), node)
        except (ValueError, KeyError):
            raise refusal(at, path, f"{node.value[:40]!r} is not a valid {kind}.") from None
