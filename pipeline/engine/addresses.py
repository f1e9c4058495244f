"""Addresses: where things are by default, and how an address may be shown (it can carry credentials)."""

import re
from pathlib import Path

HOME = Path(".tickets")
"""Folder under the working directory where store and tracking database are by default."""
STORE = str(HOME / "store")
TRACKING = f"sqlite:///{HOME / 'mlflow.db'}"


def shown(text: str) -> str:
    """A URI, or a message with URIs in it, without credentials."""
    return re.sub(r"://[^/@\s]*@", "://", text)
