"""Values of a YAML document together with where they were written."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.experiment.errors import UserError


@dataclass(frozen=True, slots=True)
class Position:
    """Where a value was written: a file and line, or `--set key=value` (line None)."""

    file: str = ""
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(slots=True)
class Node:
    """A value of the document and where it was written: for an entry of a mapping, the line of its key."""

    value: Any
    """dict[str, Node], list[Node] or a scalar."""
    at: Position = field(default_factory=Position)
    path: str = ""
    """Keys as the author wrote them, with dots."""
    empty: bool = False
    """Whether nothing stands where the value should be (`key:`); null, written out, is a value."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Node":
        """A document is a tree, and positions never change: `copy`, which knows neither, is several times slower."""
        value = self.value
        if isinstance(value, dict):
            value = {key: node.__deepcopy__(memo) for key, node in value.items()}
        elif isinstance(value, list):
            value = [node.__deepcopy__(memo) for node in value]
        return Node(value, self.at, self.path, self.empty)

    @property
    def size(self) -> int:
        """Values in it, itself counted."""
        below = self.value.values() if isinstance(self.value, dict) else self.value
        return 1 + sum(node.size for node in below) if isinstance(self.value, dict | list) else 1

    def plain(self) -> Any:
        """The value without positions."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def refusal(at: Position, path: str, what: str) -> UserError:
    """The one form of an error in a grid: `file:line: key.path: what`."""
    return UserError(": ".join(part for part in (str(at), path, what) if part))
