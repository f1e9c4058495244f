"""Addresses: where things are by default, and (from below) how one that may carry credentials is shown."""

from pathlib import Path

from pipeline.lottery.credentials import shown as shown


class Address(str):
    """An address whose credentials are in no repr: Ray Train may log a lane's configuration, and show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(shown(self))


HOME = Path(".tickets")
"""Folder under the working directory where store and tracking database are by default."""
STORE = str(HOME / "store")
TRACKING = f"sqlite:///{HOME / 'mlflow.db'}"
