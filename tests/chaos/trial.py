"""One trial: a fresh store, runs with faults, then runs without until one ends with 0, and what is left of it all."""

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import faults
import marked
import outcome

GRID = Path(__file__).with_name("grid.yaml")
TICKETS = Path(sys.executable).with_name("tickets")
DOCUMENTED = {0, 1, 2, 75, 130, 143}
"""Exit codes of the README."""
KILLED = -9
CLEAN_RUNS = 3
"""Without faults, until a trial counts as lost."""
LONGEST = 600.0
"""Seconds after which a run counts as hung."""
ORPHANS = 15.0
"""Seconds in which what a dead driver started has to follow it."""


@dataclass
class Trial:
    """`problems` is empty if all went right; `story` is what was done and what came of it."""

    folder: Path
    seed: str
    local: bool = False
    """In one process, without Ray."""
    story: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def database(self) -> Path:
        return self.folder / "mlflow.db"

    @property
    def mark(self) -> str:
        return f"{os.getpid()}-{self.folder.name}"

    def undisturbed(self) -> None:
        """One run without faults, which all others are compared with."""
        self.folder.mkdir(parents=True)
        code = self._finish(self._start())
        if code != 0:
            raise RuntimeError(f"The undisturbed run ended with {code}: {self._log(0).read_text()[-2000:]}")

    def play(self, wanted: tuple[outcome.Stages, outcome.Runs]) -> None:
        self.folder.mkdir(parents=True)
        try:
            self._disturbed()
            for _ in range(CLEAN_RUNS):
                if (code := self._finish(self._start())) == 0:
                    break
            else:
                self.problems.append(f"{CLEAN_RUNS} runs without faults did not end with 0 but with {code}")
            self.problems += outcome.differences(wanted[0], outcome.stages(self.store))
            self.problems += outcome.differences_in_mlflow(wanted[1], outcome.runs(self.database))
            self._expect_no_orphans()
        finally:
            marked.end_all(self.mark)

    def _disturbed(self) -> None:
        rng = random.Random(self.seed)
        scene = faults.Scene(self.mark, self.store, self.database, rng)
        chosen = [*rng.choices(faults.GENTLE, k=rng.randint(1, 3)), *rng.choices(faults.DEADLY, k=rng.randint(0, 1))]
        process = self._start()
        for fault in chosen:
            self._wait(process, rng)
            if process.poll() is None and (told := fault(scene)):
                self.story.append(told)
        self._finish(process)
        for timer in scene.timers:
            timer.join()
        self._expect_no_orphans()

    def _wait(self, process: subprocess.Popen[bytes], rng: random.Random) -> None:
        """Until some more stages are done, or for some seconds: the start and the end of a run are hit, too."""
        more, deadline = self._done() + rng.randint(0, 15), time.monotonic() + rng.uniform(2, 40)
        while process.poll() is None and self._done() < more and time.monotonic() < deadline:
            time.sleep(0.05)

    def _done(self) -> int:
        return len(list((self.store / "done").glob("*.json")))

    def _log(self, number: int) -> Path:
        return self.folder / f"run-{number}.log"

    def _start(self) -> subprocess.Popen[bytes]:
        number = sum(1 for _ in self.folder.glob("run-*.log"))
        command = [
            *(TICKETS, "run", GRID, "--store", self.store, "--reports", self.folder / "reports"),
            *("--tracking", f"sqlite:///{self.database}", "--lease-timeout", "10", "--lanes", "2"),
            *(["--local"] if self.local else []),
        ]
        own = {name: value for name, value in os.environ.items() if not name.startswith(("TICKETS_", "MLFLOW_"))}
        own |= {marked.MARK: self.mark, "OMP_NUM_THREADS": "1"}
        with self._log(number).open("wb") as log:
            return subprocess.Popen(
                list(map(str, command)), stdout=log, stderr=log, env=own, cwd=self.folder, start_new_session=True
            )

    def _finish(self, process: subprocess.Popen[bytes]) -> int:
        """The exit code, which is looked at, and so is the log."""
        number = sum(1 for _ in self.folder.glob("run-*.log")) - 1
        try:
            code = process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            self.problems.append(f"run {number} hung: {marked.living(self.mark)}")
            marked.end_all(self.mark)
            return process.wait()
        self.story.append(f"run {number} ended with {code}")
        if code not in DOCUMENTED and not (code == KILLED and "SIGKILL to a driver" in self.story):
            self.problems.append(f"run {number} ended with {code}, which is not documented")
        if "Traceback (most recent call last)" in self._log(number).read_text(errors="replace"):
            self.problems.append(f"run {number} printed a stack trace")
        return code

    def _expect_no_orphans(self) -> None:
        deadline = time.monotonic() + ORPHANS
        while (left := marked.living(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.5)
        if left:
            self.problems.append(f"left running: {sorted(left.values())}")
            marked.end_all(self.mark)
