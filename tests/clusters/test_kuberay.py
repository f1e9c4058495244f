"""clusters/kuberay/: KubeRay and Kubernetes take these files, and what they ask for is closed, bounded and safe."""

import copy
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from pipeline.engine.lanes.capacity import CONTROLLER_BYTES

ROOT = Path(__file__).parents[2]
KUBERNETES = "1.37"
CLUSTER, JOB = (
    yaml.safe_load((ROOT / "clusters" / "kuberay" / name).read_text()) for name in ("raycluster.yaml", "rayjob.yaml")
)


def fields(*required: str, **properties: Any) -> dict[str, Any]:
    """An object with these properties and no other."""
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


TEXT, TRUTH, WHOLE = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 0}
START = {"type": "object", "additionalProperties": TEXT}
TEMPLATE = fields("spec", spec={"type": "object"})
"""What is in pods and containers, Kubernetes' own schema knows."""
RAY_CLUSTER_SPEC = fields(
    "headGroupSpec",
    rayVersion=TEXT,
    authOptions=fields(mode={"enum": ["disabled", "token"]}),
    enableInTreeAutoscaling=TRUTH,
    autoscalerOptions=fields(
        version={"enum": ["v1", "v2"]},
        idleTimeoutSeconds=WHOLE,
        resources={"type": "object"},
        securityContext={"type": "object"},
    ),
    headGroupSpec=fields("template", template=TEMPLATE, rayStartParams=START, serviceType=TEXT),
    workerGroupSpecs={
        "type": "array",
        "items": fields(
            *("groupName", "maxReplicas", "minReplicas", "template"),
            groupName=TEXT,
            minReplicas=WHOLE,
            maxReplicas=WHOLE,
            rayStartParams=START,
            template=TEMPLATE,
        ),
    },
)
RAY_JOB_SPEC = fields(
    entrypoint=TEXT,
    backoffLimit=WHOLE,
    shutdownAfterJobFinishes=TRUTH,
    ttlSecondsAfterFinished=WHOLE,
    submitterPodTemplate=TEMPLATE,
    rayClusterSpec=RAY_CLUSTER_SPEC,
)
"""Those fields of KubeRay's ray.io/v1 that the files use, written after its API reference. No package carries its own
definitions; both files were held against those of 1.7.0 and 1.6.0, whole, on 28 November 2026."""


def schema(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    named = fields("name", name=TEXT)
    return fields(
        *("apiVersion", "kind", "metadata", "spec"),
        **{"apiVersion": {"const": "ray.io/v1"}, "kind": {"const": kind}, "metadata": named, "spec": spec},
    )


def cluster_of(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["spec"].get("rayClusterSpec", document["spec"])
    return found


def pods(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The pods that the operator makes of it, by group; the autoscaler is a container of the head's."""
    cluster = copy.deepcopy(cluster_of(document))
    groups = {"head": cluster["headGroupSpec"], **{group["groupName"]: group for group in cluster["workerGroupSpecs"]}}
    found = {name: group["template"] for name, group in groups.items()}
    options = {name: cluster["autoscalerOptions"][name] for name in ("resources", "securityContext")}
    found["head"]["spec"]["containers"].append({"name": "autoscaler", **options})
    if "submitterPodTemplate" in document["spec"]:
        found["submitter"] = document["spec"]["submitterPodTemplate"]
    return found


def containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [container for pod in pods(document).values() for container in pod["spec"]["containers"]]


def check(document: dict[str, Any]) -> None:
    """Raises jsonschema.ValidationError."""
    spec = {"RayCluster": RAY_CLUSTER_SPEC, "RayJob": RAY_JOB_SPEC}[document["kind"]]
    jsonschema.validate(document, schema(document["kind"], spec))
    for name, pod in pods(document).items():
        whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, **pod}
        kubernetes_validate.validate(whole, KUBERNETES, strict=True)


def quantity(text: str) -> float:
    found = re.fullmatch(r"(\d+)(m|Mi|Gi|)", text)
    assert found is not None, text
    number, unit = found.groups()
    return float(number) * {"m": 1e-3, "": 1.0, "Mi": 2.0**20, "Gi": 2.0**30}[unit]


@pytest.mark.parametrize("document", [CLUSTER, JOB], ids=["cluster", "job"])
def test_the_schemas_take_it(document: dict[str, Any]) -> None:
    check(document)


@pytest.mark.parametrize(
    ("document", "path", "key"),
    [
        (CLUSTER, ["spec"], "authOptions"),
        (CLUSTER, ["spec", "authOptions"], "mode"),
        (CLUSTER, ["spec", "autoscalerOptions"], "idleTimeoutSeconds"),
        (CLUSTER, ["spec", "autoscalerOptions", "securityContext"], "capabilities"),
        (CLUSTER, ["spec", "headGroupSpec", "template", "spec"], "volumes"),
        (CLUSTER, ["spec", "headGroupSpec", "template", "spec", "containers", 0], "envFrom"),
        (CLUSTER, ["spec", "workerGroupSpecs", 1], "minReplicas"),
        (CLUSTER, ["spec", "workerGroupSpecs", 1, "template", "spec", "securityContext"], "runAsNonRoot"),
        (JOB, ["spec"], "backoffLimit"),
        (JOB, ["spec", "submitterPodTemplate", "spec"], "restartPolicy"),
    ],
)
def test_a_misspelt_field_is_refused(document: dict[str, Any], path: list[str | int], key: str) -> None:
    wrong: Any = copy.deepcopy(document)
    part = wrong
    for step in path:
        part = part[step]
    part[key.title()] = part.pop(key)
    with pytest.raises(jsonschema.ValidationError):
        check(wrong)


def test_the_job_runs_on_the_cluster_that_the_other_file_describes() -> None:
    assert cluster_of(JOB) == cluster_of(CLUSTER)


def test_the_token_is_on_for_the_ray_that_is_installed() -> None:
    cluster = cluster_of(CLUSTER)
    assert cluster["authOptions"] == {"mode": "token"} and cluster["rayVersion"] == version("ray")


def test_nothing_is_reached_from_outside() -> None:
    assert cluster_of(CLUSTER)["headGroupSpec"]["serviceType"] == "ClusterIP"
    for document in (CLUSTER, JOB):
        assert not re.search("NodePort|LoadBalancer|hostPort|hostNetwork|[Ii]ngress", yaml.safe_dump(document))


@pytest.mark.parametrize("document", [CLUSTER, JOB], ids=["cluster", "job"])
def test_no_container_is_root_or_can_become_it(document: dict[str, Any]) -> None:
    for pod in pods(document).values():
        user = pod["spec"]["securityContext"]
        assert user["runAsNonRoot"] and user["runAsUser"] == 1000 and user["seccompProfile"]["type"] == "RuntimeDefault"
    for container in containers(document):
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@pytest.mark.parametrize("document", [CLUSTER, JOB], ids=["cluster", "job"])
def test_containers_ask_for_what_they_may_use(document: dict[str, Any]) -> None:
    for container in containers(document):
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys()


@pytest.mark.parametrize("name", ["head", "cpu", "gpu"])
def test_images_are_handed_over_in_memory_that_the_container_has(name: str) -> None:
    spec = pods(CLUSTER)[name]["spec"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in spec["containers"][0]["volumeMounts"]
    shm = next(volume["emptyDir"] for volume in spec["volumes"] if volume["name"] == "shm")
    assert shm["medium"] == "Memory"
    assert quantity(shm["sizeLimit"]) < quantity(spec["containers"][0]["resources"]["limits"]["memory"]) / 2


def test_gpus_come_when_they_are_wanted_and_go() -> None:
    cluster = cluster_of(CLUSTER)
    groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
    assert cluster["enableInTreeAutoscaling"] and cluster["autoscalerOptions"]["idleTimeoutSeconds"] <= 600
    assert groups["gpu"]["minReplicas"] == 0 < groups["gpu"]["maxReplicas"]


def test_the_head_holds_the_controllers_of_the_lanes_and_trains_nothing() -> None:
    head = cluster_of(JOB)["headGroupSpec"]
    (lanes,) = map(int, re.findall(r"--lanes (\d+)", JOB["spec"]["entrypoint"]))
    memory = quantity(pods(JOB)["head"]["spec"]["containers"][0]["resources"]["limits"]["memory"])
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert lanes * CONTROLLER_BYTES + 2e9 < memory, "Ray, the board and the driver take 2 GB"
    assert f"hold {lanes} lanes" in (ROOT / "clusters" / "kuberay" / "raycluster.yaml").read_text()


def test_a_retry_finds_what_was_done() -> None:
    """It is a new cluster: what it must find cannot be in the old one."""
    given = dict(re.findall(r"--(store|tracking) (\S+)", JOB["spec"]["entrypoint"]))
    assert JOB["spec"]["backoffLimit"] > 0
    assert given["store"].startswith("s3://") and given["tracking"].startswith("http://")


def test_the_image_is_the_one_that_docker_builds() -> None:
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    used = {container["image"] for container in [*containers(CLUSTER), *containers(JOB)] if "image" in container}
    assert {image.rpartition("/")[2].partition(":")[0] for image in used} == {"ticket-transfer"}
    assert "-t ticket-transfer" in dockerfile and "useradd" in dockerfile
