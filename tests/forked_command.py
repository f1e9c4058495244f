"""What a forked process does: one `tickets` command, in its folder and environment, into its files.

Of its report's stills it draws the first: all ten take four seconds a report, and are tested elsewhere.

Run by its path with `folder`, `environment`, `arguments`, `out` and `err` as globals: see `fork` in conftest.py.
"""

import os
import signal
import sys
from typing import Any


def command(folder: str, environment: dict[str, str], arguments: tuple[str, ...], out: str, err: str, **_: Any) -> None:
    from pipeline.cli import main
    from pipeline.report.stills import figures

    first = dict(list(figures.drawn().items())[:1])
    figures.drawn = lambda: first
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for stream, path in ((1, out), (2, err)):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, stream)
        os.close(opened)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1) for stream in (1, 2))
    sys.__stdout__ = sys.stdout  # type: ignore[misc]  # nothing stands in its place: a run on Ray is supervised
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["tickets", *arguments]
    main()


command(**globals())
