"""Small JSON documents that belong to no stage (MLflow run ids, for instance)."""

import logging
from typing import Any

from pipeline.engine.store import layout, sealed
from pipeline.engine.store.filesystem import Folder

_log = logging.getLogger(__name__)


def read(folder: Folder, path: str) -> Any | None:
    """Content of a sealed file; None where there is none, or (named in the log) it is damaged."""
    try:
        return sealed.unseal(path, folder.read(path))
    except FileNotFoundError:
        return None
    except sealed.DamageError as damage:
        _log.warning("The store's file %s %s; it counts as missing.", path, damage)
        return None


def names(folder: Folder, prefix: str) -> list[str]:
    """Names of all documents that start with `prefix`, sorted."""
    inside = prefix.rpartition("/")[0]
    listed = folder.files(f"documents/{inside}".rstrip("/"))
    found = (layout.stem(file.path) for file in listed if file.path.endswith(".json"))
    return sorted(name for name in found if name.startswith(prefix))
