"""A run on Ray is the child of the command's process, which then knows how it ended.

Ray's library ends a process that loses its raylet or its head at a bad moment, while it connects for instance: with
exit code 1, from C++, where no Python can be asked any more (Ray 2.60). Exit code 1 means that stages failed.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

LOST = (1, -signal.SIGABRT)
"""How Ray ends a process: `_exit(1)`, or a check that fails."""
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FROM_KERNEL = 128
"""`si_code` of a signal that a terminal sends to all its processes, the child among them."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
AFTER_END = 3.0
"""Seconds within which what the run has left behind is found and ended."""


@contextlib.contextmanager
def supervised() -> Iterator[None]:
    """Go on in a child process. The one that was there passes signals on and ends as the child does, with the same
    exit code or by the same signal; or with exit code 75 and a sentence where Ray ended the child. Before, it ends the
    processes of Ray that the child has left behind.

    Only on Linux, where the child also dies when its parent is killed; elsewhere, and in a program that has put
    something in the place of standard output, nothing is done.
    """
    if not hasattr(signal, "sigwaitinfo") or sys.stdout is not sys.__stdout__:
        yield
        return
    awaited = {*PASSED_ON, signal.SIGCHLD}
    reader, writer = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    parent = os.getpid()
    _control(PR_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child:
        os.close(writer)
        code = _wait(child, awaited)
        _end_descendants()
        _end_like(code, is_orderly=reader)
    os.close(reader)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _die_with(parent)
    try:
        yield
    finally:  # whatever comes now, Python has ended the command
        os.write(writer, b".")


def _wait(child: int, awaited: set[signal.Signals]) -> int:
    """The child's exit code, or the negative of the signal that ended it."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return os.waitstatus_to_exitcode(status)
        if pid:  # what the child has started and left
            continue
        info = signal.sigwaitinfo(awaited)
        if info.si_signo != signal.SIGCHLD and info.si_code < FROM_KERNEL:
            os.kill(child, info.si_signo)


def _end_descendants() -> None:
    deadline = time.monotonic() + AFTER_END
    while (left := _descendants()) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.05)


def _descendants() -> list[int]:
    """Children, and theirs; a process whose parent has ended counts as a child of this one."""
    found = [os.getpid()]
    for pid in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found[1:]


def _end_like(code: int, is_orderly: int) -> None:
    os.set_blocking(is_orderly, False)
    with contextlib.suppress(BlockingIOError):
        if code in LOST and not os.read(is_orderly, 1):
            from pipeline.engine.lanes.ray_lost import GO_ON, GONE

            print(f"Ray was lost. {GO_ON}", file=sys.stderr, flush=True)
            os._exit(GONE)
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no handler that could be in the way
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    # The first process of a container outlives a signal that it does not handle.
    os._exit(code if code >= 0 else 128 - code)


def _die_with(parent: int) -> None:
    """A run whose command was killed is killed, too: it must not go on where nobody sees it."""
    _control(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _control(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(option, value)
