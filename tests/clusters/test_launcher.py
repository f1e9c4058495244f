"""Files of Ray's cluster launcher: Ray's own validator and EC2's own model take them, and they are closed."""

import subprocess
from pathlib import Path
from typing import Any

import botocore.session
import botocore.validate
import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "clusters" / "cloud" / "aws.yaml", ROOT / "clusters" / "hosts" / "cluster.yaml"]
CONFIGS = [yaml.safe_load(file.read_text()) for file in FILES]
AWS, HOSTS = CONFIGS
both = pytest.mark.parametrize("config", CONFIGS, ids=["aws", "hosts"])


def check(config: dict[str, Any]) -> dict[str, Any]:
    """As `ray up` does before it starts anything; the configuration with Ray's defaults."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared: dict[str, Any] = prepare_config(config)
    validate_config(prepared)
    return prepared


def commands(config: dict[str, Any]) -> list[str]:
    return [command for name, value in config.items() if name.endswith("_commands") for command in value]


@both
def test_the_launcher_takes_it(config: dict[str, Any]) -> None:
    check(config)


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (AWS, {"idle_timeout": 5}),
        (AWS, {"head_node_type": "heads"}),
        (AWS, {"available_node_types": {"head": {"resources": {}, "node_config": {}, "min_worker": 0}}}),
        (AWS, {"provider": {**AWS["provider"], "security_group": {"GroupNames": "x"}}}),
        (HOSTS, {"auth": {"ssh_users": "x"}}),
        (HOSTS, {"setup_command": []}),
    ],
)
def test_a_mistake_is_refused(config: dict[str, Any], wrong: dict[str, Any]) -> None:
    with pytest.raises((jsonschema.ValidationError, ValueError)):
        check({**config, **wrong})


@pytest.mark.parametrize("name", ["head", "gpu"])
def test_ec2_takes_the_instances(name: str) -> None:
    asked = {**AWS["available_node_types"][name]["node_config"], "MinCount": 1, "MaxCount": 1}
    shape = botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape
    report = botocore.validate.ParamValidator().validate(asked, shape)
    assert not report.has_errors(), report.generate_report()


def test_workers_are_spot_instances_that_go_when_idle_and_leave_nothing_that_costs() -> None:
    worker = AWS["available_node_types"]["gpu"]
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert worker["min_workers"] == 0 and AWS["idle_timeout_minutes"] <= 10
    assert AWS["provider"]["cache_stopped_nodes"] is False


def test_nothing_but_ssh_is_open() -> None:
    """Ray's default group lets in ssh, and its own members: the file adds no rule, and no group of another kind."""
    assert AWS["provider"]["security_group"].keys() == {"GroupName"}
    for node in AWS["available_node_types"].values():
        assert not {"SecurityGroupIds", "NetworkInterfaces"} & node["node_config"].keys()
        assert node["node_config"]["MetadataOptions"] == {"HttpTokens": "required"}


@both
def test_every_ray_that_starts_asks_for_the_token(config: dict[str, Any]) -> None:
    starts = [command for command in commands(config) if "ray start" in command]
    assert len(starts) == 2 and all("RAY_AUTH_MODE=token ray start" in command for command in starts)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"]


@both
def test_the_dashboard_is_the_heads_own(config: dict[str, Any]) -> None:
    (head,) = [command for command in config["head_start_ray_commands"] if "ray start" in command]
    assert "--dashboard-host=127.0.0.1" in head


def test_hosts_are_set_up_as_instances_are() -> None:
    for name in ("setup_commands", "worker_start_ray_commands", "file_mounts"):
        assert AWS[name] == HOSTS[name], name
    # With Ray 2.60's second autoscaler, the head alone starts on hosts that are listed.
    starts = [command.replace("RAY_enable_autoscaler_v2=0 ", "") for command in HOSTS["head_start_ray_commands"]]
    assert starts == AWS["head_start_ray_commands"] and starts != HOSTS["head_start_ray_commands"]


def test_all_that_the_package_needs_is_copied() -> None:
    copied = {local for local in HOSTS["file_mounts"].values() if not local.startswith("~")}
    assert copied == {"pipeline", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"}
    assert all((ROOT / name).exists() for name in copied)


@both
def test_commands_are_shell(config: dict[str, Any]) -> None:
    for command in commands(config):
        subprocess.run(["bash", "-n", "-c", command], check=True)
