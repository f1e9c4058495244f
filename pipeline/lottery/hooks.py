"""What a training run tells its surroundings, and what it asks them."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.lottery.checkpoint import Checkpoint
from pipeline.lottery.history import Record


class Interrupted(Exception):  # noqa: N818 - a request that was met, not an error
    """The run was asked to stop; `Hooks.checkpoint` has received all it takes to go on."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Callables of the surroundings. The two questions are asked at every iteration and must be cheap."""

    progress: Callable[[int, Record | None], None] = lambda iteration, record: None
    """Iterations done, at every record (then with it) and about twice a second between records."""
    should_stop: Callable[[], bool] = lambda: False
    """True: the run hands over a checkpoint and raises Interrupted."""
    checkpoint_due: Callable[[], bool] = lambda: False
    """True: the run hands over a checkpoint and goes on."""
    checkpoint: Callable[[Checkpoint], None] = lambda checkpoint: None
