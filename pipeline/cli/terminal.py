"""Where commands write: the terminal as it is, or plain lines into a file or pipe."""

import os
import sys

from rich.console import Console
from rich.text import Text

PIPE_WIDTH = 120
"""Columns of tables where there is no terminal that has a width of its own; COLUMNS overrides it."""


def open_console() -> Console:
    """Standard output. Numbers and paths keep the colour of their line, and messages are not cut or wrapped."""
    wide = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=PIPE_WIDTH if wide else None, highlight=False)


def say(console: Console, message: str, style: str = "") -> None:
    """A message as it is: brackets in it are no markup, and a command or path in it can be copied."""
    console.print(Text(message, style=style), soft_wrap=True)
