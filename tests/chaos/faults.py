"""What goes wrong in a trial. A fault says what it did, or None where there was nothing that it could hit."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import marked


@dataclass
class Scene:
    """What faults of one trial can hit: its processes, its store and its MLflow database."""

    mark: str
    store: Path
    database: Path
    rng: random.Random
    timers: list[threading.Thread] = field(default_factory=list)
    """What still has to undo a fault."""

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, call)
        timer.start()
        self.timers.append(timer)


Fault = Callable[[Scene], str | None]


def kill(scene: Scene) -> str | None:
    return _hit(scene, ("driver", "board", "controller", "worker", "gcs", "raylet"), signal.SIGKILL)


def interrupt(scene: Scene) -> str | None:
    return _hit(scene, ("driver",), scene.rng.choice([signal.SIGINT, signal.SIGTERM]))


def pause(scene: Scene) -> str | None:
    """A process that does not answer, for less or longer than a lease lasts."""
    seconds = scene.rng.choice([3, 20])
    hit = _hit(scene, ("worker", "controller", "board"), signal.SIGSTOP)
    if hit is None:
        return None

    def resume() -> None:
        for pid in marked.living(scene.mark):
            marked.send(pid, signal.SIGCONT)

    scene.after(seconds, resume)
    return f"{hit} for {seconds} s"


def damage(scene: Scene) -> str | None:
    """A file of the store, of a random area: the few are hit as often as the many."""
    files = [path for path in scene.store.rglob("*") if path.is_file()]
    areas = sorted({path.relative_to(scene.store).parts[0] for path in files})
    if not areas:
        return None
    area = scene.rng.choice(areas)
    path = scene.rng.choice(sorted(path for path in files if path.relative_to(scene.store).parts[0] == area))
    how = scene.rng.choice([_truncate, _flip, _delete, _turn_into_a_folder])
    try:
        how(path, scene.rng)
    except (OSError, ValueError):  # the run has removed or replaced it meanwhile
        return None
    return f"{how.__name__.strip('_')} {path.relative_to(scene.store)}"


def lock_database(scene: Scene) -> str | None:
    if not scene.database.exists():
        return None
    seconds = scene.rng.choice([5, 30])

    def hold() -> None:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(scene.database)) as link:
            link.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    scene.timers.append(thread)
    return f"lock the MLflow database for {seconds} s"


def delete_database(scene: Scene) -> str | None:
    if not scene.database.exists():
        return None
    scene.database.unlink()
    return "delete the MLflow database"


GENTLE: tuple[Fault, ...] = (damage, damage, pause, lock_database)
"""A run may go on after them."""
DEADLY: tuple[Fault, ...] = (kill, kill, interrupt, delete_database)


def _hit(scene: Scene, roles: tuple[str, ...], number: signal.Signals) -> str | None:
    there = {pid: role for pid, role in marked.living(scene.mark).items() if role in roles}
    if not there:
        return None
    pid = scene.rng.choice(sorted(there))
    marked.send(pid, number)
    return f"{number.name} to a {there[pid]}"


def _truncate(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def _flip(path: Path, rng: random.Random) -> None:
    """A bit: the size stays."""
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _delete(path: Path, rng: random.Random) -> None:
    path.unlink()


def _turn_into_a_folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()
    shutil.copy(__file__, path / "file")
