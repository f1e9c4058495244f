"""What could not work on a cluster is refused before anything is sent there."""

from collections.abc import Callable

import pytest

from pipeline.engine.jobs.checks import check_addresses, check_resources
from pipeline.engine.jobs.cluster import Cluster
from pipeline.experiment.errors import UserError
from pipeline.experiment.stages import Shape

STORE, SERVER = "s3://bucket/tickets", "http://mlflow:5000"
MakeCluster = Callable[..., Cluster]


@pytest.mark.parametrize(
    ("store", "tracking", "told"),
    [
        ("/home/me/store", SERVER, "--store /home/me/store: a path on this machine.*s3://bucket/folder"),
        (".tickets/store", SERVER, "--store .tickets/store: a path on this machine"),
        (STORE, "sqlite:///mlflow.db", "--tracking sqlite:///mlflow.db: a file on this machine.*`none`"),
        (STORE, "http://localhost:5000", "localhost is another machine"),
        (STORE, "https://127.0.0.1:5000", "127.0.0.1 is another machine"),
        (f"{STORE}?endpoint_override=http://localhost:9000", SERVER, "--store .*: localhost is another machine"),
        (f"{STORE}?scheme=http&endpoint_override=127.0.0.1:9000", SERVER, "--store .*: 127.0.0.1 is another machine"),
    ],
)
def test_what_is_on_this_machine_alone_is_refused_for_a_cluster_on_others(
    store: str, tracking: str, told: str, cluster_of: MakeCluster
) -> None:
    with pytest.raises(UserError, match=told):
        check_addresses(cluster_of((4, 0, 8)), store, tracking)
    check_addresses(cluster_of((4, 0, 8), ip="127.0.0.1"), store, tracking)


def test_a_folder_for_mlflow_is_refused_everywhere(cluster_of: MakeCluster) -> None:
    for ip in ("127.0.0.1", "192.0.2.200"):
        with pytest.raises(UserError, match="MLflow does not track in a folder"):
            check_addresses(cluster_of((4, 0, 8), ip=ip), STORE, "./mlruns")


@pytest.mark.parametrize(
    "store", [STORE, "gs://localhost-bucket", "file:///mounted/everywhere", "abfs://container@account.example/store"]
)
@pytest.mark.parametrize("tracking", [SERVER, "none"])
def test_what_every_node_reaches_is_let_through(store: str, tracking: str, cluster_of: MakeCluster) -> None:
    check_addresses(cluster_of((4, 0, 8)), store, tracking)


@pytest.mark.parametrize("ip", ["127.0.0.1", "192.0.2.200"])
def test_credentials_in_a_uri_are_refused_everywhere_and_not_repeated(ip: str, cluster_of: MakeCluster) -> None:
    """A job's command is shown to all who see the cluster's jobs."""
    cluster = cluster_of((4, 0, 8), ip=ip)
    for store, tracking in (("s3://key:hunter2@bucket", SERVER), (STORE, "http://me:hunter2@mlflow:5000")):
        with pytest.raises(UserError, match="credentials would be shown") as refused:
            check_addresses(cluster, store, tracking)
        assert "hunter2" not in str(refused.value)


def test_a_request_that_no_node_can_hold_is_refused_where_no_autoscaler_is(cluster_of: MakeCluster) -> None:
    two = cluster_of((4, 1, 8), (4, 1, 8))
    assert check_resources(two, [Shape(), Shape(2, 1.0, 2.0)]) is None
    for shape in (Shape(gpus_per_worker=2.0), Shape(workers=3, gpus_per_worker=1.0), Shape(cpus_per_worker=6.0)):
        with pytest.raises(UserError, match=r"no autoscaler that would add any. Lower `resources`"):
            check_resources(two, [Shape(), shape])


def test_an_autoscaler_is_waited_for(cluster_of: MakeCluster) -> None:
    told = check_resources(cluster_of((2, 0, 8), grows=True), [Shape(gpus_per_worker=1.0)])
    assert told is not None and "waits for its autoscaler" in told
