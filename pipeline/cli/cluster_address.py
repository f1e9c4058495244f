"""Where a cluster is, and which of its jobs is meant: options of the commands that ask one."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.engine.jobs.cluster import Cluster

VARIABLES = ["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"]
AddressOption = Annotated[
    str,
    typer.Option(
        "--address",
        envvar=VARIABLES,
        metavar="URL",
        help="Where the cluster's dashboard is, which takes jobs too: http://HOST:8265. Where a token is asked for, "
        "it gets Ray's own: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token.",
    ),
]
Job = Annotated[str, typer.Argument(metavar="JOB", help="As `tickets submit` and `tickets jobs` name it.")]
GO_ON = "Finished stages are in the store: submit the same again to go on."


def at(cluster: "Cluster") -> str:
    """The option that a command needs to find the cluster, if the environment does not name it."""
    named = any(os.environ.get(variable) for variable in VARIABLES)
    return "" if named else f" --address {cluster.address}"
