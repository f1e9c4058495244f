"""What happens to stages while a run goes on, as the board tells the driver.

Without slots, with which a frozen dataclass takes three times as long to travel through Ray.
"""

from dataclasses import dataclass

from pipeline.engine.store.records import Record


@dataclass(frozen=True)
class Started:
    """A lane has leased the stage."""

    stage: str
    lane: str
    attempt: int


@dataclass(frozen=True)
class Done:
    """The stage's record is in the store, diverged or not."""

    stage: str
    lane: str
    record: Record
    ran: bool
    """False if the store had it already."""


@dataclass(frozen=True)
class Retried:
    """An attempt failed, and another is made."""

    stage: str
    error_class: str
    message: str


@dataclass(frozen=True)
class Failed:
    """The last attempt failed."""

    stage: str
    message: str
    trace: str


@dataclass(frozen=True)
class InputLost:
    """Something that the stage reads is missing or damaged: it is made again before the stage."""

    stage: str
    message: str


Event = Started | Done | Retried | Failed | InputLost
