"""Ctrl-C ends a run cleanly and says how to go on."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_ctrl_c_checkpoints_says_how_to_go_on_and_leaves_nothing_behind(
    fresh: Path, tickets: Callable[..., Any], begin: Callable[..., Any], wait_until: Callable[..., None]
) -> None:
    run = begin(fresh, "run", "tiny.yaml", "--local", "--tracking", "none", "--set", "training.length=20000ep")
    try:
        claims = fresh / ".tickets" / "store" / "claims"
        wait_until(lambda: claims.is_dir() and any(claims.iterdir()), 600, "a stage is claimed")
        assert "at work: " in tickets("status", "tiny.yaml").out
        assert tickets("status", "tiny.yaml", "--json").code == 0
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=600)
    finally:
        run.kill()
    assert run.returncode == 130
    assert "run the same command again to go on" in out
    assert err == ""
    assert "at work: nobody" in tickets("status", "tiny.yaml").out
    assert not any(claims.iterdir())


SLOW = """
import pathlib
import time

def load(root):
    pathlib.Path("begun").touch()
    time.sleep(600)
"""


def test_sigterm_ends_a_run_in_words_whatever_it_does(
    fresh: Path, begin: Callable[..., Any], wait_until: Callable[..., None]
) -> None:
    """Here it plans; while a report is written it is the same."""
    (fresh / "slow.py").write_text(SLOW)
    changed = ["--set", "sources=[{name: slow, dataset: ./slow.py:load}]", "--set", "targets=same"]
    run = begin(fresh, "run", "tiny.yaml", "--local", "--tracking", "none", *changed)
    try:
        wait_until((fresh / "begun").exists, 600, "it plans")
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=600)
    finally:
        run.kill()
    assert run.returncode == 143
    assert "Stopped at once." in out and "run the same command again to go on" in out and err == ""
