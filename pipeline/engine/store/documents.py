"""Small JSON documents that belong to no stage (what MLflow has been given, for instance)."""

import logging
from typing import Any

from pipeline.engine.store import sealed
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
