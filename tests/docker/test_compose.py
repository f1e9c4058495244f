"""docker/compose.yaml: Compose itself accepts it, nobody is let in from outside, and no secret is in it."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ONCE = "service_completed_successfully"
NOT_OURS = ("postgres", "objects")
"""Services of other people's images; all others run in ours."""

Config = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def config(run: Callable[..., Any], docker: Path) -> Config:
    """The files as Compose reads them: merged, in their long form, defaults filled in. No engine is asked."""

    def read(*files: str, **environment: str) -> dict[str, Any]:
        given = [argument for file in files for argument in ("--file", docker / file)]
        said = run("docker-compose", *given, "config", "--format", "json", **environment)
        assert said.returncode == 0 and "level=warning" not in said.stderr, said.stderr
        found: dict[str, Any] = json.loads(said.stdout)
        return found

    return read


@pytest.fixture(scope="module")
def composed(config: Config) -> dict[str, Any]:
    return config("compose.yaml")


@pytest.fixture(scope="module")
def services(composed: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = composed["services"]
    return found


def test_every_port_is_of_this_machine_alone(services: dict[str, Any]) -> None:
    ports = {
        (name, port["target"]): port.get("host_ip") for name, each in services.items() for port in each.get("ports", [])
    }
    assert set(ports) == {("ray-head", 8265), ("mlflow", 5000), ("objects", 8333)}
    assert set(ports.values()) == {"127.0.0.1"}
    assert not [name for name, each in services.items() if each.get("network_mode") == "host"]


def test_every_service_has_a_health_check_and_is_waited_for_until_it_is_well(services: dict[str, Any]) -> None:
    waits = [
        (name, other, wait["condition"])
        for name, each in services.items()
        for other, wait in each.get("depends_on", {}).items()
    ]
    once = {other for _, other, condition in waits if condition == ONCE}
    assert once == {"setup"}
    assert {name for name, each in services.items() if "healthcheck" not in each} == once
    assert {condition for _, other, condition in waits if other not in once} == {"service_healthy"}
    assert {other for name, other, _ in waits if name == "ray-head"} == once, (
        "jobs start when buckets and user are there"
    )


def test_nothing_runs_with_more_rights_than_it_needs(services: dict[str, Any], docker: Path) -> None:
    image = (docker / "Dockerfile").read_text()
    for name, each in services.items():
        assert not each.get("privileged") and not each.get("cap_add") and not each.get("devices"), name
        assert each["cap_drop"] == ["ALL"] and each["security_opt"] == ["no-new-privileges:true"], name
        assert (each.get("user") not in (None, "root", "0", "0:0")) == (name in NOT_OURS), name
        assert not [volume for volume in each.get("volumes", []) if volume["type"] == "bind"], name
    assert "\nUSER 1000:1000\n" in image


def test_images_are_pinned_and_ours_is_built_from_here(services: dict[str, Any], docker: Path) -> None:
    for name, each in services.items():
        assert re.fullmatch(r"[a-z/-]+:\d+(\.\d+)+(-[a-z]+)?", each["image"]), each["image"]
        assert ("build" in each) == (name not in NOT_OURS), name
    built = {json.dumps(each["build"]) for each in services.values() if "build" in each}
    assert len(built) == 1
    build = json.loads(built.pop())
    assert (Path(build["context"]) / build["dockerfile"]).samefile(docker / "Dockerfile")


def test_every_service_is_limited_and_starts_again(services: dict[str, Any]) -> None:
    for name, each in services.items():
        limits = each["deploy"]["resources"]["limits"]
        assert limits["memory"] and limits["cpus"], name
        assert each["restart"] == ("on-failure:5" if name == "setup" else "unless-stopped"), name
    assert {each["shm_size"] for name, each in services.items() if name.startswith("ray-")} == {str(4 * 2**30)}


def test_state_lies_in_named_volumes(composed: dict[str, Any]) -> None:
    used = {volume["source"] for each in composed["services"].values() for volume in each.get("volumes", [])}
    assert used == set(composed["volumes"]) == {"postgres", "objects", "data"}


def test_passwords_come_from_files_that_git_ignores(composed: dict[str, Any], docker: Path) -> None:
    secrets = composed["secrets"]
    assert {Path(secret["file"]).parent for secret in secrets.values()} == {docker / "secrets"}
    ignored = subprocess.run(
        ["git", "check-ignore", *(secret["file"] for secret in secrets.values())],
        cwd=docker,
        capture_output=True,
        text=True,
    )
    assert len(ignored.stdout.split()) == len(secrets)
    for name, each in composed["services"].items():
        for variable, value in each.get("environment", {}).items():
            if re.search(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIALS|CERT", variable):
                assert value.startswith("/run/secrets/"), f"{name}: {variable}"
            assert not re.search(r"://[^/]*:[^/]*@", value), f"{name}: {variable}"


def test_a_service_is_given_the_secrets_that_it_needs_and_no_others(services: dict[str, Any]) -> None:
    given = {name: sorted(secret["source"] for secret in each["secrets"]) for name, each in services.items()}
    jobs = ["mlflow-credentials", "objects-tickets", "ray-token"]
    assert given == {
        "ray-head": jobs,
        "ray-worker": jobs,
        "mlflow": ["mlflow-admin-password", "mlflow-flask-key", "objects-mlflow", "postgres-password"],
        "setup": ["mlflow-admin-password", "mlflow-credentials", "objects-setup"],
        "postgres": ["postgres-password"],
        "objects": ["objects-grpc.pem", "objects-users.json"],
    }


def test_jobs_do_not_reach_the_database(composed: dict[str, Any]) -> None:
    networks = {name: set(each["networks"]) for name, each in composed["services"].items()}
    assert composed["networks"]["database"]["internal"]
    assert {name for name, joined in networks.items() if "database" in joined} == {"mlflow", "postgres"}
    assert networks["postgres"] == {"database"}


def test_mlflow_asks_for_a_login_and_for_a_name_that_it_knows(services: dict[str, Any], docker: Path) -> None:
    mlflow = services["mlflow"]
    assert mlflow["command"] == ["mlflow-server"]
    assert "--app-name basic-auth" in (docker / "mlflow-server").read_text()
    hosts = mlflow["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert set(hosts) == {"mlflow:5000", "localhost:5000", "127.0.0.1:5000"}


def test_the_object_store_listens_with_s3_alone(services: dict[str, Any]) -> None:
    objects = services["objects"]
    assert {"-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.iam=false", "-master.telemetry=false"} <= set(
        objects["command"]
    )
    closed = {name: value for name, value in objects["environment"].items() if name.startswith("WEED_GRPC")}
    assert set(closed) == {"WEED_GRPC_CA", "WEED_GRPC_S3_CERT", "WEED_GRPC_S3_KEY"}
    assert set(closed.values()) == {"/run/secrets/objects-grpc.pem"}


def test_workers_are_as_many_as_asked_for_and_may_have_gpus(config: Config) -> None:
    workers = config("compose.yaml", WORKERS="5")["services"]["ray-worker"]
    assert workers["deploy"]["replicas"] == 5
    worker = config("compose.yaml", "compose.gpu.yaml")["services"]["ray-worker"]
    assert worker["deploy"]["replicas"] == 1
    assert worker["gpus"] == [{"count": -1}], "all of the machine's"
