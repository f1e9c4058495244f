"""What became of one attempt at a stage, as a lane reports it to the board."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.engine.addresses import shown
from pipeline.engine.store.patience import StoreError
from pipeline.engine.store.records import Record

Kind = Literal["done", "failed", "lost input", "lost store", "claimed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`done`: the stage's record is in the store. `failed`: it raised. `lost input`: something that it reads is missing
    or damaged. `lost store`: the store was waited for in vain, or refuses. `claimed`: another driver is at it.
    `interrupted`: it was told to stop, and checkpointed what it had."""

    kind: Kind
    record: Record | None = None
    """The done record, diverged or not."""
    ran: bool = True
    """False if the store had it already (another driver finished it first)."""
    error_class: str = ""
    """`out of memory`, `lost worker`, `exception` or `user` (a mistake of the user's): retries are counted for each."""
    message: str = ""
    trace: str = ""
    lost: tuple[str, str | None] | None = None
    """(stage, output) that is missing or damaged; the output is None for the stage's record."""
    store_error: StoreError | None = None
    poisoned: bool = False
    """The process can no longer be trusted (a CUDA error) and must be replaced."""

    def __post_init__(self) -> None:
        """What went wrong is printed, and kept in the store and the report: without the passwords of addresses."""
        if self.message or self.trace:
            object.__setattr__(self, "message", shown(self.message))
            object.__setattr__(self, "trace", shown(self.trace))


@dataclass(slots=True)
class StageCounts:
    """Of a run so far, for displays and exit codes."""

    total: int = 0
    done: int = 0
    diverged: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Stage key -> message."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Stage key -> why: it depends on a stage that failed, diverged or lost its input."""
    store_error: StoreError | None = None
    """Why the run is ended: the store went away for good, or refuses."""
