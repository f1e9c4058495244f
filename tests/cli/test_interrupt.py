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
