"""Where commands write: the terminal as it is, or plain lines into a file or pipe."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from pipeline.lottery.printable import escaped

PIPE_WIDTH = 120
"""Columns of tables where there is no terminal that has a width of its own; COLUMNS overrides it."""


class PlainStream:
    """A stream to which control characters are written as `\\x1b`: names, and errors of others, come as they are."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        # A progress bar begins with a carriage return.
        start = len(text) - len(text.lstrip("\r"))
        self.stream.write(text[:start] + escaped(text[start:]))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


class PlainConsole(Console):
    """A console that itself writes the control sequences of a terminal, and none that a text holds."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text), segment.style)


@contextlib.contextmanager
def plain_streams() -> Iterator[None]:
    """Standard output and error as PlainStream, a stack trace among the rest, for as long as a command lasts."""
    whole = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(PlainStream, whole)
    try:
        yield
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    finally:
        sys.stdout, sys.stderr = whole


def open_console() -> Console:
    """Standard output. Numbers and paths keep the colour of their line, and messages are not cut or wrapped.

    Brackets and colons in texts are no markup and no emoji.
    """
    stream = sys.stdout.stream if isinstance(sys.stdout, PlainStream) else sys.stdout
    wide = not stream.isatty() and "COLUMNS" not in os.environ
    return PlainConsole(file=stream, width=PIPE_WIDTH if wide else None, highlight=False, markup=False, emoji=False)


def say(console: Console, message: str, style: str = "") -> None:
    """A message as it is: brackets in it are no markup, and a command or path in it can be copied."""
    console.print(Text(escaped(message), style=style), soft_wrap=True)
