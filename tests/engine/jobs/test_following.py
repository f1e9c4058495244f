"""A job's output is written once, however often the connection breaks, and its end is a shell's exit code."""

from types import SimpleNamespace

import pytest

from pipeline.engine.jobs.client import _Output, exit_code


def test_output_that_is_sent_again_is_written_once() -> None:
    written: list[str] = []
    output = _Output(written.append)
    for text in ("one\n", "two\n", "thr"):
        output.add(text)
    output.again()
    for text in ("one\ntwo\n", "three\n", "four\n"):
        output.add(text)
    output.whole("one\ntwo\nthree\nfour\nfive\n")
    assert "".join(written) == "one\ntwo\nthree\nfour\nfive\n"


@pytest.mark.parametrize(
    ("status", "driver", "code"),
    [("SUCCEEDED", 0, 0), ("FAILED", 2, 2), ("FAILED", -9, 137), ("FAILED", None, 1), ("STOPPED", None, 143)],
)
def test_the_exit_code_is_the_runs(status: str, driver: int | None, code: int) -> None:
    assert exit_code(SimpleNamespace(status=status, driver_exit_code=driver)) == code
