"""What a run shows: a live table of lanes in a terminal, plain lines elsewhere."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.cli.console import say
from pipeline.cli.quantities import duration
from pipeline.engine.lanes.events import Done, Event, Failed, InputLost, Retried
from pipeline.engine.lanes.view import Lane, View
from pipeline.engine.store import Snapshot
from pipeline.engine.store.records import Record
from pipeline.experiment.grid import Work
from pipeline.experiment.planning import Plan
from pipeline.lottery.counting import count_of

FIRST_LINE, LINES_EVERY = 2.0, 10.0
"""Seconds after which the first plain line comes where the output is no terminal, and between two of them."""
LANES_SHOWN = 16
BAR_FROM = 100
"""Columns from which on there is room for a bar beside the names."""


class Display:
    """A driver's listener, and a context manager. Each of `logs` gets the records of finished stages, by key."""

    def __init__(self, work: Work, console: Console, logs: Sequence[Callable[[dict[str, Record]], None]] = ()) -> None:
        self._work, self._console, self._logs = work, console, logs
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._started = time.monotonic()
        self._next_line = self._started + FIRST_LINE
        self._ends: deque[float] = deque(maxlen=200)
        self._total = self._done = 0
        self._traced: set[str] = set()
        """Messages of failures whose trace was printed."""

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.update("")
            self._live.stop()

    def planned(self, todo: Plan, snapshot: Snapshot) -> None:
        kinds = Counter(self._work.stages[key].kind for key in todo.to_run)
        self._total, self._done = len(todo.to_run), 0
        parts = [f"{count_of(len(todo.cached), 'stage')} cached"]
        if todo.to_run:
            parts.append(f"{count_of(kinds['train'], 'training')} and {count_of(kinds['prune'], 'pruning')} to run")
        if todo.blocked:
            parts.append(f"{count_of(len(todo.blocked), 'descends', 'descend')} from a diverged one")
        say(self._console, f"{self._work.name}: " + ", ".join(parts), "bold")

    def said(self, message: str) -> None:
        say(self._console, message, "yellow")

    def followed(self, view: View) -> None:
        for event in view.events:
            self._event(event)
        if self._live:
            self._live.update(self._picture(view))
        elif time.monotonic() > self._next_line:
            self._next_line = time.monotonic() + LINES_EVERY
            say(self._console, self._line(view))

    def _event(self, event: Event) -> None:
        label = self._work.stages[event.stage].label
        match event:
            case Done():
                self._done += 1
                self._ends.append(time.monotonic())
                for log in self._logs:
                    log({event.stage: event.record})
                if event.record["status"] == "diverged":
                    self.said(f"diverged: {label}")
            case Retried():
                self.said(f"again: {label} ({event.error_class}: {_first_line(event.message)})")
            case InputLost():
                self.said(f"{event.message} It is made again.")
            case Failed():
                say(self._console, f"failed: {label}: {_first_line(event.message)}", "red")
                if event.trace and event.message not in self._traced:
                    say(self._console, event.trace.rstrip(), "dim")
                self._traced.add(event.message)

    def _left(self) -> str:
        """Time left at the rate of the last 200 stages."""
        if len(self._ends) < 5 or self._ends[-1] == self._ends[0]:
            return ""
        rate = (len(self._ends) - 1) / (self._ends[-1] - self._ends[0])
        return f", about {duration((self._total - self._done) / rate)} left"

    def _line(self, view: View) -> str:
        busy = sum(1 for lane in view.lanes if lane.lease)
        elapsed = duration(time.monotonic() - self._started)
        left = self._total - self._done - busy
        waiting = "" if view.lanes else "; lanes are starting"
        return f"{elapsed}: {self._done} of {self._total} done, {busy} running, {left} waiting{self._left()}{waiting}"

    def _picture(self, view: View) -> Group:
        table = Table(box=None, padding=(0, 1), show_header=False)
        for least in (8, None, 20, 10):  # what is too long is cut off the stage's name
            table.add_column(no_wrap=True, min_width=least)
        for lane in view.lanes[:LANES_SHOWN]:
            table.add_row(*_row(lane, bar=self._console.width >= BAR_FROM))
        hidden = len(view.lanes) - LANES_SHOWN
        more = [Text(f"and {count_of(hidden, 'more lane')}", style="dim")] if hidden > 0 else []
        return Group(table, *more, Text(self._line(view), style="bold"))


def _row(lane: Lane, *, bar: bool) -> tuple[Text | ProgressBar, ...]:
    """Lane, stage, how far in epochs (in iterations before the first record), latest test accuracy, bar."""
    if lane.lease is None:
        return Text(lane.name), Text("idle", style="dim")
    stage, done = lane.lease.stage, lane.progress.iteration
    if not stage.iterations:
        return Text(lane.name), Text(stage.label)
    record = lane.progress.record or {}
    far = f"{done}/{stage.iterations} it"
    epochs, iterations = record.get("epoch"), record.get("iteration")
    if epochs and iterations:
        epoch = iterations / epochs
        far = f"epoch {done / epoch:.3g} of {stage.iterations / epoch:.4g}"
    accuracy = record.get("test_accuracy")
    tested = Text("" if accuracy is None else f"test {accuracy:.1%}")
    row = Text(lane.name), Text(stage.label), Text(far), tested
    return (*row, ProgressBar(total=stage.iterations, completed=done, width=16)) if bar else row


def _first_line(message: str) -> str:
    return message.partition("\n")[0]
