"""What others have written (names, errors, records) is shown escaped: no terminal obeys it, and no page."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table

from pipeline.cli.console import PlainConsole, say
from pipeline.report.charts.chart import Series
from pipeline.report.page.rendering import safe_json

EVIL = "\x1b]0;owned\x07\x9b2J\u202e[bold]:smile:"
ESCAPED = r"\x1b]0;owned\x07\x9b2J\u202e[bold]:smile:"
MODEL = f"""
import torch

class Net(torch.nn.Module):
    def __init__(self, **given):
        raise ValueError({EVIL!r} + "\\nsecond line")
"""


@pytest.mark.parametrize("command", [["plan"], ["run", "--local"], ["status"]])
def test_an_error_of_a_users_model_is_escaped(fresh: Path, tickets: Callable[..., Any], command: list[str]) -> None:
    (fresh / "my_models.py").write_text(MODEL)
    text = (fresh / "tiny.yaml").read_text()
    (fresh / "tiny.yaml").write_text(text.replace("model: lenet-20-10", "model: my_models.py:Net"))
    said = tickets(*command, "tiny.yaml")
    assert said.code == 2
    assert ESCAPED in said.err and not any(one in said.err + said.out for one in "\x1b\x07\x9b\u202e")


def test_keys_and_names_in_a_grid_are_escaped(fresh: Path, tickets: Callable[..., Any]) -> None:
    (fresh / "tiny.yaml").write_text('"\\e[2J\\u202e": 1\nname: "a\\eb"\n')
    said = tickets("plan", "tiny.yaml")
    assert said.code == 2
    assert r"\x1b[2J\u202e" in said.err and not any(one in said.err + said.out for one in "\x1b\u202e")
    said = tickets("plan", "no\x1b[2Jfile.yaml")
    assert said.code == 2 and r"no\x1b[2Jfile.yaml" in said.err


def test_a_stack_trace_is_escaped(fresh: Path, tickets: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(EVIL)

    monkeypatch.setattr("pipeline.experiment.collections.open_work", broken)
    said = tickets("plan", "tiny.yaml")
    assert said.code == 1
    assert f"RuntimeError: {ESCAPED}" in said.err and "\x1b" not in said.err


def test_a_terminal_gets_the_sequences_of_the_console_and_of_no_text() -> None:
    stream = io.StringIO()
    console = PlainConsole(file=stream, force_terminal=True, width=200, markup=False, emoji=False)
    say(console, f"failed: {EVIL}\rok", "red")
    table = Table(title=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    console.print(table)
    written = stream.getvalue()
    assert ESCAPED + r"\x0dok" in written
    assert "\x1b[31m" in written  # red, which is the console's own
    assert not any(one in written for one in ("\x1b]0", "\x07", "\x9b", "\u202e", "\r"))
    assert "[bold]:smile:" in written


def test_the_data_and_the_charts_of_a_page_are_escaped() -> None:
    text = safe_json({"name": EVIL + "</script>\\u001b"})
    assert not any(one in text for one in ("\x1b", "\\u001b]", "\x9b", "\u202e", "</script"))
    series = Series(EVIL, [EVIL, "fc"], [1.0, 2.0])
    assert (series.name, series.x) == (ESCAPED, [ESCAPED, "fc"])


def test_a_page_shows_texts_of_a_grid_escaped(finished: Path, tickets: Callable[..., Any]) -> None:
    text = (finished / "tiny.yaml").read_text()
    (finished / "tiny.yaml").write_text(text + 'description: "<script>\\e[2J\\u202e"\n')
    said = tickets("report", "tiny.yaml")
    assert said.code == 0, said.err
    page = (finished / "reports/tiny/report.html").read_text()
    assert r"&lt;script&gt;\x1b[2J\u202e" in page
    assert "\x1b" not in page and "<script>\\x1b" not in page
