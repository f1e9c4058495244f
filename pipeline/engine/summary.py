"""How a run ended."""

from dataclasses import dataclass, field, replace


@dataclass(slots=True)
class RunSummary:
    """Counts of stages, what went wrong with which, and the exit code that follows."""

    ran: int = 0
    cached: int = 0
    diverged: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Stage key -> message, as in the next three."""
    skipped: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """Stages that were to run, and that the options leave out."""
    gave_up: bool = False
    """Inputs were lost again and again: stages are left that were not run."""
    damaged: int = 0
    """Files of the store that the report of this run could not use."""
    interrupted: int = 0
    """Signal that ended the run, or 0."""
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return 128 + self.interrupted
        return 1 if self.failed or self.left_out or self.gave_up or self.damaged else 0

    def after(self, earlier: "RunSummary | None") -> "RunSummary":
        """Of both: this run made again what the report of an earlier one found damaged."""
        if earlier is None:
            return self
        return replace(
            self,
            ran=self.ran + earlier.ran,
            cached=earlier.cached,
            diverged=self.diverged + earlier.diverged,
            seconds=self.seconds + earlier.seconds,
        )
