"""Ray's token is its owner's alone, from the moment it is there, and one for all who start a Ray at once."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.engine.lanes.ray_token import keep_token_private
from pipeline.experiment.errors import UserError

HAS_TOKEN = (
    "from ray._raylet import AuthenticationTokenLoader as L; print(L.instance().has_token(ignore_auth_mode=True))"
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home without a token, under the usual umask."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    before = os.umask(0o022)
    yield tmp_path
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_token_is_made_before_ray_makes_it_and_ray_takes_it(home: Path) -> None:
    assert keep_token_private(make=True) == []
    file = home / ".ray" / "auth_token"
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    assert len(file.read_text()) == 64 and int(file.read_text(), 16)
    assert [each.name for each in file.parent.iterdir()] == ["auth_token"]
    said = subprocess.run([sys.executable, "-c", HAS_TOKEN], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "True"
    before = file.read_text()
    assert keep_token_private(make=True) == [] and file.read_text() == before


def test_all_who_start_at_once_have_one_token(home: Path) -> None:
    file = home / ".ray" / "auth_token"

    def start(_: int) -> str:
        keep_token_private(make=True)
        return file.read_text()

    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(start, range(64)))) == 1


def test_a_token_that_others_can_read_is_closed_and_that_is_said_once(home: Path) -> None:
    file = home / ".ray" / "auth_token"
    file.parent.mkdir()
    file.write_text("a" * 64)
    assert (mode(file), mode(file.parent)) == (0o644, 0o755)  # as Ray makes them
    (said,) = keep_token_private(make=False)
    assert str(file) in said and "could be read by other users" in said
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    assert keep_token_private(make=True) == [] and file.read_text() == "a" * 64


def test_a_named_file_is_treated_alike_but_its_folder_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "new" / "token"))
    keep_token_private(make=True)
    assert (mode(home / "new"), mode(home / "new" / "token")) == (0o700, 0o600)
    (home / "mine").mkdir()
    (home / "mine" / "token").write_text("a" * 64)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "mine" / "token"))
    assert len(keep_token_private(make=True)) == 1
    assert (mode(home / "mine"), mode(home / "mine" / "token")) == (0o755, 0o600)
    assert not (home / ".ray").exists()


def test_a_file_that_no_other_user_reaches_may_have_any_mode(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docker/make-secrets.sh makes such: users in containers, whom it is mounted for, must read it."""
    (home / "secrets").mkdir(mode=0o700)
    file = home / "secrets" / "ray-token"
    file.write_text("a" * 64)
    file.chmod(0o444)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    assert keep_token_private(make=True) == [] and mode(file) == 0o444


def test_an_empty_file_is_replaced(home: Path) -> None:
    file = home / ".ray" / "auth_token"
    file.parent.mkdir()
    file.touch()
    keep_token_private(make=True)
    assert len(file.read_text()) == 64 and mode(file) == 0o600


def test_a_token_of_another_user_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_token_private(make=True)
    theirs = os.geteuid() + 1
    if os.geteuid() == 0:
        os.chown(home / ".ray" / "auth_token", 4242, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: theirs)
    with pytest.raises(UserError, match=r"belongs to another user.*RAY_AUTH_TOKEN_PATH"):
        keep_token_private(make=False)


def test_where_there_is_no_file_none_is_looked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keep_token_private(make=False) == []
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of the environment")
    assert keep_token_private(make=True) == []
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert keep_token_private(make=True) == []
    assert not (home / ".ray").exists()
