"""Small JSON documents that belong to no stage (what MLflow has been given, for instance)."""

import logging
from typing import Any, Protocol

from pipeline.engine.store import layout, sealed
from pipeline.engine.store.filesystem import StoreFolder

_log = logging.getLogger(__name__)


class Documents:
    """Those of a store, under names that may contain slashes."""

    def __init__(self, folder: StoreFolder) -> None:
        self._folder = folder

    def read(self, name: str) -> Any | None:
        """None where there is none, or (named in the log) it is damaged."""
        return read_sealed(self._folder, layout.document(name))

    def write(self, name: str, content: object) -> None:
        """Write it as JSON."""
        path = layout.document(name)
        self._folder.write(path, sealed.seal(path, content))

    def delete(self, name: str) -> None:
        """Remove it; no error where there is none."""
        self._folder.delete(layout.document(name))

    def names(self, folder: str) -> list[str]:
        """Of those right under `folder`, without it."""
        prefix = layout.document(f"{folder}/x").removesuffix("x.json")
        files = self._folder.files(prefix.rstrip("/"))
        names = (file.path.removeprefix(prefix).removesuffix(".json") for file in files)
        return sorted(name for name in names if "/" not in name)


class HasDocuments(Protocol):
    """A store, as far as its documents go."""

    @property
    def documents(self) -> Documents: ...


def read_sealed(folder: StoreFolder, path: str) -> Any | None:
    """Content of a sealed file; None where there is none, or (named in the log) it is damaged."""
    try:
        return sealed.unseal(path, folder.read(path))
    except FileNotFoundError:
        return None
    except sealed.DamageError as damage:
        _log.warning("The store's file %s %s; it counts as missing.", path, damage)
        return None
