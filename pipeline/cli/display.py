"""What a run shows: a live table of lanes in a terminal, plain lines elsewhere."""

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.cli.duration import duration
from pipeline.engine.board import View
from pipeline.engine.store import Snapshot
from pipeline.experiment.grid import Grid
from pipeline.experiment.planning import Plan

LINES_EVERY = 10.0
"""Seconds between plain lines when the output is no terminal."""


class Display:
    """A driver's listener, and a context manager. `log` gets the records of finished stages, by key."""

    def __init__(
        self, grid: Grid, console: Console, log: Callable[[dict[str, dict[str, Any]]], None] | None = None
    ) -> None:
        self._grid, self._console, self._log = grid, console, log
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._started = self._last_line = time.monotonic()
        self._ends: deque[float] = deque(maxlen=200)
        self._total = self._done = 0

    def __enter__(self) -> "Display":
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live:
            self._live.__exit__(*error)

    def planned(self, todo: Plan, snapshot: Snapshot) -> None:
        kinds = Counter(self._grid.stages[key].kind for key in todo.to_run)
        self._total, self._done = len(todo.to_run), 0
        parts = [f"{len(todo.cached)} stages cached"]
        if todo.to_run:
            parts.append(f"{kinds['train']} trainings and {kinds['prune']} prunings to run")
        if todo.blocked:
            parts.append(f"{len(todo.blocked)} descend from a diverged one")
        self._console.print(f"[bold]{self._grid.name}[/bold]: " + ", ".join(parts))

    def noted(self, message: str) -> None:
        self._console.print(f"[yellow]{message}[/yellow]")

    def followed(self, view: View) -> None:
        for event in view.events:
            self._event(event)
        if self._live:
            self._live.update(self._picture(view))
        elif time.monotonic() - self._last_line > LINES_EVERY:
            self._last_line = time.monotonic()
            self._console.print(self._line(view))

    def _event(self, event: dict[str, Any]) -> None:
        label = self._grid.stages[event["stage"]].label
        match event["event"]:
            case "done":
                self._done += 1
                self._ends.append(time.monotonic())
                if self._log:
                    self._log({event["stage"]: event["record"]})
                if event["record"].get("status") == "diverged":
                    self._console.print(f"[yellow]diverged: {label}[/yellow]")
            case "retried":
                self._console.print(f"[yellow]again: {label} ({event['class']}: {event['message']})[/yellow]")
            case "lost input":
                self._console.print(f"[yellow]{event['message']} It is made again.[/yellow]")
            case "failed":
                self._console.print(f"[red]failed: {label}: {event['message']}[/red]")
                if event["trace"]:
                    self._console.print(Text(event["trace"], style="dim"))

    def _left(self) -> str:
        """Time left at the rate of the last 200 stages."""
        if len(self._ends) < 5 or self._ends[-1] == self._ends[0]:
            return ""
        rate = (len(self._ends) - 1) / (self._ends[-1] - self._ends[0])
        return f", {duration((self._total - self._done) / rate)} left"

    def _line(self, view: View) -> str:
        busy = sum(1 for lane in view.lanes if lane.lease)
        elapsed = duration(time.monotonic() - self._started)
        waiting = "" if view.lanes else ", lanes are starting"
        return f"{elapsed}: {self._done}/{self._total} stages, {busy} running{waiting}{self._left()}"

    def _picture(self, view: View) -> Group:
        table = Table(box=None, padding=(0, 2), show_header=False)
        for lane in view.lanes[:16]:
            if lane.lease is None:
                table.add_row(lane.name, "[dim]idle[/dim]", "", "")
                continue
            record = lane.progress.get("record") or {}
            accuracy = f"{record['test_accuracy']:.2%}" if record.get("test_accuracy") is not None else ""
            of = lane.lease.stage.iterations
            done = f"{lane.progress.get('iteration', 0)}/{of}" if of else ""
            table.add_row(lane.name, lane.lease.stage.label, done, accuracy)
        if len(view.lanes) > 16:
            table.add_row("", f"[dim]and {len(view.lanes) - 16} lanes more[/dim]", "", "")
        return Group(table, Text(self._line(view), style="bold"))
