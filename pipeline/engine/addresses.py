"""Addresses: where things are by default, and (from below) how one that may carry credentials is shown."""

from pathlib import Path

from pipeline.lottery.credentials import shown as shown

HOME = Path(".tickets")
"""Folder under the working directory where store and tracking database are by default."""
STORE = str(HOME / "store")
TRACKING = f"sqlite:///{HOME / 'mlflow.db'}"
