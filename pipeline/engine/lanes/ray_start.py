"""Ray for one run, started with patience."""

import contextlib
import errno
import importlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.engine.lanes import ray_processes
from pipeline.engine.lanes.ray_lost import RayLostError, first_line
from pipeline.engine.lanes.ray_watch import head_watched_while_it_starts
from pipeline.engine.signals import StoppedError
from pipeline.experiment.errors import UserError

QUIET = {
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a second actor per lane, 100 MB
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how soon a dead worker is seen, and a finished lane leaves
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_COLOR_PREFIX": "0",  # colours are control characters, which are shown escaped
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Settings of Ray and Ray Train for lanes; set before Ray is started, and left alone where the user set them."""

DASHBOARD = "RAY_API_SERVER_ADDRESS"
"""Where processes of Ray look for its dashboard, before they look for a Ray on their machine."""

ATTEMPTS = 3
"""How often Ray is started: on a busy machine its parts do not find each other in the 30 s that it gives them."""

MENDABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""What no further attempt changes: Ray's folder (RAY_TMPDIR) cannot be written."""


def keep_ray_quiet() -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def start_ray(address: str, say: Callable[[str], None], stop: threading.Event) -> str:
    """`host:port` of the dashboard of the Ray that is there now, empty where it has none.

    A Ray that does not come up is started again, unless the run is to stop by then. Raises RayLostError when it did not
    come up in ATTEMPTS, StoppedError when it did not and `stop` is set, UserError for a cluster that refuses the token
    or an address that is none, and the OSError of a folder that cannot be written.
    """
    import ray

    # `local` is explicit: without it Ray looks for a cluster, and a stale cluster file hangs it for 40 s.
    local = address == "local"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _own_dashboard(local) as dashboard, head_watched_while_it_starts(), _signals_left_alone():
                context = ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False, **dashboard)
                return context.dashboard_url or ""
        except ray.exceptions.AuthenticationError as error:
            raise UserError(f"The Ray cluster {address} refuses the token: {first_line(error)}") from error
        except ValueError as error:
            raise UserError(f"--address {address}: {first_line(error)}") from error
        except Exception as error:  # Ray raises whatever its parts did, most of it as a plain Exception
            if isinstance(error, OSError) and error.errno in MENDABLE:
                raise
            with contextlib.suppress(Exception):
                ray.shutdown()
            ray_processes.end_all()
            if stop.is_set():
                raise StoppedError from error
            reason, cause = first_line(error), error
        if attempt < ATTEMPTS:
            say(f"Ray did not start ({reason}). Trying again.")
    what = "see that the machine is not overloaded, or leave Ray out with --local"
    if not local:
        what = f"see that the cluster at {address} is up and that --address is right"
    raise RayLostError(f"Ray did not start in {ATTEMPTS} attempts ({reason}): {what}") from cause


@contextlib.contextmanager
def _own_dashboard(local: bool) -> Iterator[dict[str, Any]]:
    """Options of a Ray whose processes know its dashboard from the beginning; none for one that is there already.

    Ray Train's actors ask a dashboard whether their controller lives. Where another Ray is on the machine they ask
    that one, which knows no such controller, and take the lane's place away from it (Ray 2.60).
    """
    if not local:
        yield {}
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    before = os.environ.get(DASHBOARD)
    os.environ[DASHBOARD] = f"http://127.0.0.1:{port}"
    try:
        yield {"include_dashboard": True, "dashboard_port": port}
    finally:
        os.environ.pop(DASHBOARD, None)
        if before is not None:
            os.environ[DASHBOARD] = before


@contextlib.contextmanager
def _signals_left_alone() -> Iterator[None]:
    """`ray.init` begins with a handler for SIGTERM that ends the process with exit code 15 (Ray 2.60)."""
    before = signal.getsignal(signal.SIGTERM)
    place: Any = importlib.import_module("ray._private.utils")
    setter = getattr(place, "set_sigterm_handler", None)
    if setter is not None:
        place.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        if setter is not None:
            place.set_sigterm_handler = setter
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # should another version of Ray have replaced it
