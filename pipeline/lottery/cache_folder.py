"""Where a machine keeps what it makes once and reads often. Imports no torch."""

import os
from pathlib import Path

VARIABLE = "TICKETS_CACHE"


def cache_folder() -> Path:
    """TICKETS_CACHE, by default `ticket-transfer` in the user's cache folder. It may be deleted between runs."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ticket-transfer"
