"""Fixtures that every floor's tests share: the data root and one Ray for the whole session."""

import contextlib
import multiprocessing
import multiprocessing.process
import os
import runpy
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from pipeline.engine.driver import Listener

ROOT = Path(__file__).parents[1]
ON_RAY = (
    "test_lanes",
    "test_ray_session",
    "test_same_bits",
    "test_data_parallel",
    "test_submitted_runs",
    "test_two_raylets",
)
"""Files that use the one Ray of the tests."""
IMPORTED = [
    *("pipeline.cli", "pipeline.engine.driver", "pipeline.engine.execute", "pipeline.lottery.training"),
    *("pipeline.report.report_files", "pipeline.report.report", "pipeline.report.terminal_report"),
    *("pipeline.report.page.rendering", "pipeline.report.stills.figures", "matplotlib.backends.backend_agg"),
    *("plotly.offline", "scipy.stats", "torch._dynamo", "torch._inductor.config", "sklearn.datasets"),
]
"""By the process that commands are forked from. Neither Ray nor MLflow, which start threads."""

# Ray's own default for a Ray that it starts; it reads the variable once, when it is first imported.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

# How long an example takes says nothing on a machine that runs other tests at the same time.
settings.register_profile("any pace", deadline=None)
settings.load_profile("any pace")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of real data sets: TICKETS_DATA, or ../shared/data beside the project; skips where there is none."""
    for candidate in (os.environ.get("TICKETS_DATA"), ROOT.parent / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    pytest.skip("needs real data: set TICKETS_DATA to a folder with MNIST/raw, FashionMNIST/raw and cifar10")


@pytest.fixture(autouse=True)
def single_thread() -> None:
    """Results differ between one and two intra-op threads, and two workers of two threads starve two cores."""
    os.environ["OMP_NUM_THREADS"] = "1"


class RayNode:
    """A node of a Ray cluster: `ray start` and what it has started."""

    def __init__(self, *options: str) -> None:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def started(self) -> dict[str, int]:
        """Process ids by the name of the program: `raylet`, and on a head node `gcs_server` and others."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if self.lives else []
        return {Path(f"/proc/{child}/comm").read_text().strip(): int(child) for child in children}

    def kill(self) -> None:
        """At once: told to end, `ray start` takes half a minute."""
        for pid in (*self.started().values(), self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture(scope="session")
def ray_node() -> type[RayNode]:
    """Starts a node with options of `ray start`; who does it kills it."""
    return RayNode


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """One Ray for all tests, which takes 5 to 10 s to start: the address of its job server.

    `ray start` and not `ray.init`, which lets nobody choose the port of the agent that takes jobs.
    """
    from pipeline.engine.lanes.ray_start import QUIET

    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    port, dashboard = free_port(), free_port()
    ports = [f"--port={port}", f"--dashboard-port={dashboard}", "--dashboard-agent-listen-port=0"]
    head = RayNode("--head", "--num-cpus=4", "--dashboard-host=127.0.0.1", *ports)
    deadline = time.monotonic() + 120
    while not (listens(port) and listens(dashboard)):
        assert head.lives and time.monotonic() < deadline, "no Ray could be started"
        time.sleep(0.2)
    address = f"{ray.util.get_node_ip_address()}:{port}"
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    yield f"http://127.0.0.1:{dashboard}"
    ray.shutdown()
    head.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several test processes (`--numprocesses`) one has all files that use Ray, and each other file is of one."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "ray" if Path(file).stem in ON_RAY else file

    return ByFile(config, log)


class Command:
    """A command in a process of its own, with those methods of `subprocess.Popen` that tests use."""

    def __init__(self, process: multiprocessing.process.BaseProcess, out: Path, err: Path) -> None:
        self._process, self._out, self._err = process, out, err
        process.start()
        assert process.pid is not None
        self.pid = process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def said(self) -> str:
        """What it has written to stdout so far."""
        return self._out.read_text()

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it wrote to stdout and to stderr, once it has ended. Raises subprocess.TimeoutExpired."""
        if self.wait(timeout) is None:
            raise subprocess.TimeoutExpired("tickets", timeout, self._out.read_text(), self._err.read_text())
        return self._out.read_text(), "" if self._err == self._out else self._err.read_text()


@pytest.fixture(scope="session")
def fork_script() -> Callable[..., multiprocessing.process.BaseProcess]:
    """`fork_script(path, **given)`: a process, not yet started, that runs a script as `__main__`, with globals `given`.

    It is forked from one which has imported everything, so that it starts in a moment instead of ten seconds.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    return lambda path, **given: context.Process(target=runpy.run_path, args=(str(path), given, "__main__"))


@pytest.fixture(scope="session")
def fork(fork_script: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Command]:
    """`fork(folder, *arguments)` begins a `tickets` command in a forked process, which is as mortal as any other.

    `environment`: its whole one; `merged`: stderr goes where stdout goes.
    """
    script, streams, numbers = ROOT / "tests" / "forked_command.py", tmp_path_factory.mktemp("streams"), count()

    def begin(folder: Path, *arguments: str, environment: Mapping[str, str], merged: bool = False) -> Command:
        number = next(numbers)
        out, err = streams / f"{number}.out", streams / f"{number}.out" if merged else streams / f"{number}.err"
        for stream in (out, err):
            stream.touch()
        given = {"folder": str(folder), "environment": dict(environment), "arguments": arguments}
        given |= {"out": str(out), "err": str(err)}
        return Command(fork_script(script, **given), out, err)

    return begin


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], object], float, str], None]:
    """`wait_until(condition, seconds, what)` fails the test unless the condition comes true in time."""

    def wait(condition: Callable[[], object], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.05)
        pytest.fail(f"after {seconds} s still not: {what}")

    return wait


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Headless Chromium; skips where there is none."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs Chromium: install it as `chromium` (Debian, Ubuntu: apt-get install chromium)")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=[*quiet, "--disable-component-update"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def unheard() -> "Listener":
    """A listener for `driver.run` that tells nobody."""

    class Unheard:
        def planned(self, *arguments: object) -> None: ...
        def followed(self, *arguments: object) -> None: ...
        def said(self, *arguments: object) -> None: ...

    return Unheard()
