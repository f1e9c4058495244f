"""Fixtures that every floor's tests share: the data root and one Ray for the whole session."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]

# Ray's own default for a Ray that it starts; it reads the variable once, when it is first imported.
os.environ.setdefault("RAY_AUTH_MODE", "token")

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


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local Ray for all tests: it takes 5 to 10 s to start."""
    from pipeline.engine.ray_lanes import QUIET

    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    ray.init(address="local", num_cpus=4, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


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
def unheard() -> object:
    """A listener for `driver.run` that tells nobody."""

    class Unheard:
        def planned(self, *arguments: object) -> None: ...
        def followed(self, *arguments: object) -> None: ...
        def noted(self, *arguments: object) -> None: ...

    return Unheard()
