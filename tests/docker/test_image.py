"""docker/Dockerfile, .dockerignore and the scripts beside them: linted, pinned, without rights and without secrets."""

import json
import os
import re
import shlex
import stat
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def instructions(docker: Path) -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, each on one line."""
    lines = [line for line in (docker / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line.strip()]


def test_the_linter_has_nothing_to_say(run: Run, docker: Path) -> None:
    said = run("hadolint", docker / "Dockerfile")
    assert (said.returncode, said.stdout) == (0, "")


def test_the_shell_scripts_are_sound(run: Run, docker: Path) -> None:
    for script in (docker / "make-secrets.sh", docker / "mlflow-server"):
        said = run("shellcheck", script)
        assert (said.returncode, said.stdout) == (0, "")
        assert run("sh", "-n", script).returncode == 0
        assert os.access(script, os.X_OK)


def test_the_image_is_of_one_pinned_base_and_runs_as_a_user_without_rights(instructions: list[tuple[str, str]]) -> None:
    of = {name: [rest for each, rest in instructions if each == name] for name, _ in instructions}
    (base,) = of["FROM"]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)
    assert of["USER"] == ["1000:1000"], "a number: Kubernetes' runAsNonRoot cannot read a name"
    assert [name for name, _ in instructions][-4:] == ["USER", "WORKDIR", "ENTRYPOINT", "CMD"]
    assert json.loads(of["ENTRYPOINT"][0]) == ["/usr/bin/tini", "--", "tickets"]
    assert {"tini", "wget"} <= set(shlex.split(of["RUN"][0])), "KubeRay's probes call wget"
    assert "RAY_AUTH_MODE=token" in of["ENV"][0]
    assert of["ARG"] == ['TORCH_INDEX=""'], "no other argument: an argument stays in the image's history"


def test_every_package_is_installed_with_the_constraints(instructions: list[tuple[str, str]]) -> None:
    installs = [rest for name, rest in instructions if name == "RUN" and "pip install" in rest]
    assert len(installs) == 3
    assert [install for install in installs if "--constraint constraints.txt" not in install] == installs[2:]
    assert "--no-deps --no-build-isolation" in installs[2]


def test_what_changes_often_comes_last(instructions: list[tuple[str, str]]) -> None:
    order = [rest for name, rest in instructions if name in ("COPY", "RUN")]
    first = {
        what: next(n for n, rest in enumerate(order) if what in rest) for what in ("apt-get", "torch", "pipeline ")
    }
    assert sorted(first, key=lambda what: first[what]) == ["apt-get", "torch", "pipeline "]
    assert order[first["torch"] - 1] == "constraints.txt ./", "torch's layer depends on the constraints alone"


def test_the_server_s_packages_are_pinned() -> None:
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    pinned = {line.partition("==")[0].lower() for line in (root / "constraints.txt").read_text().split()}
    named = [re.split(r"[\[<>=]", each)[0].lower() for each in project["optional-dependencies"]["server"]]
    assert [name for name in [*named, "flask-wtf", "setuptools"] if name not in pinned] == []


def test_the_context_has_what_is_copied_and_nothing_else(docker: Path, instructions: list[tuple[str, str]]) -> None:
    lines = (docker.parent / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    assert let_in == {source for name, rest in instructions if name == "COPY" for source in rest.split()[:-1]}
    known = subprocess.run(["git", "ls-files", *let_in], cwd=docker.parent, capture_output=True, text=True)
    assert {file.split("/")[0] for file in known.stdout.split()} == {name.split("/")[0] for name in let_in}


def test_secrets_are_made_once_for_their_owner_and_differ_each_time(run: Run, docker: Path, tmp_path: Path) -> None:
    made: list[dict[str, str]] = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        script = folder / "make-secrets.sh"
        script.write_bytes((docker / "make-secrets.sh").read_bytes())
        assert run("sh", script).returncode == 0
        secrets = folder / "secrets"
        assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
        made.append({file.name: file.read_text() for file in secrets.iterdir()})
        assert {stat.S_IMODE(file.stat().st_mode) for file in secrets.iterdir()} == {0o444}
        assert sorted(path.name for path in folder.iterdir()) == ["make-secrets.sh", "secrets"]
    assert "is there already" in run("sh", script).stdout
    assert {file.name: file.read_text() for file in secrets.iterdir()} == made[1]
    assert not {name for name in made[0] if made[0][name] == made[1][name]}
    composed = (docker / "compose.yaml").read_text()
    assert {f"./secrets/{name}" for name in made[0]} == set(re.findall(r"\./secrets/[\w.-]+", composed))
    users = {user["name"]: user for user in json.loads(made[0]["objects-users.json"])["identities"]}
    assert users["tickets"]["actions"] == ["Read:tickets", "Write:tickets", "List:tickets"]
    assert [name for name, user in users.items() if "Admin" in user["actions"]] == ["setup"]
    for name, user in users.items():
        assert user["credentials"][0]["secretKey"] in made[0][f"objects-{name}"]


@pytest.fixture
def started(docker: Path, tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """Run mlflow-server with a program in mlflow's place; what that was given: arguments, environment, files."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("postgres-password", "mlflow-admin-password", "mlflow-flask-key"):
        (secrets / name).write_text(f"SECRET-{name}\n")
    program = tmp_path / "mlflow"
    program.write_text(
        "#!/usr/bin/env python3\n"
        "import json, os, sys\n"
        "files = {name: open(os.environ[name]).read() for name in ('PGPASSFILE', 'MLFLOW_AUTH_CONFIG_PATH')}\n"
        "modes = {name: oct(os.stat(os.environ[name]).st_mode & 0o777) for name in files}\n"
        "print(json.dumps({'argv': sys.argv, 'env': dict(os.environ), 'files': files, 'modes': modes}))\n"
    )
    program.chmod(0o755)

    def start() -> dict[str, Any]:
        environment = os.environ | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "SECRETS": str(secrets),
            "TMPDIR": str(tmp_path),
            "MLFLOW_AUTH_DATABASE_URI": "sqlite:///logins.db",
        }
        said = subprocess.run(
            [docker / "mlflow-server", "--workers", "1"], capture_output=True, text=True, env=environment
        )
        assert said.returncode == 0, said.stderr
        found: dict[str, Any] = json.loads(said.stdout)
        return found

    return start


def test_mlflow_s_passwords_are_in_files_of_its_own_and_in_no_argument(started: Callable[[], dict[str, Any]]) -> None:
    given = started()
    assert given["argv"][1:3] == ["server", "--app-name"] and given["argv"][-2:] == ["--workers", "1"]
    assert "SECRET" not in " ".join(given["argv"])
    assert given["modes"] == {"PGPASSFILE": "0o600", "MLFLOW_AUTH_CONFIG_PATH": "0o600"}
    assert given["files"]["PGPASSFILE"] == "*:*:*:*:SECRET-postgres-password\n"
    assert "admin_password = SECRET-mlflow-admin-password\n" in given["files"]["MLFLOW_AUTH_CONFIG_PATH"]
    assert "database_uri = sqlite:///logins.db\n" in given["files"]["MLFLOW_AUTH_CONFIG_PATH"]
    secret = {name for name, value in given["env"].items() if "SECRET" in value}
    assert secret == {"MLFLOW_FLASK_SERVER_SECRET_KEY"}, "which MLflow reads from no file"
