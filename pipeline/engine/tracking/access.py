"""Whether an MLflow server lets this run in: asked before anything runs, and told in words."""

from pipeline.engine.addresses import shown
from pipeline.engine.tracking.quiet_client import client_of
from pipeline.experiment.errors import UserError


def check_access(tracking_uri: str, experiment: str) -> Exception | None:
    """Raises UserError if the server refuses. One that is away does not: the run goes on, and `tickets sync` follows.

    Gives what went wrong if the server did not answer as one should.

    A database has nobody to ask; it is opened when there is something to log.
    """
    if not tracking_uri.startswith(("http://", "https://")):
        return None
    client = client_of(tracking_uri)
    try:
        client.get_experiment_by_name(experiment)
    except Exception as error:
        why = refusal(error)
        if why is not None:
            raise UserError(f"MLflow at {shown(tracking_uri)} refuses: {why}") from error
        return error
    return None


def refusal(error: BaseException) -> str | None:
    """What to do if it is a server that refuses; None if anything else went wrong."""
    code = getattr(error, "error_code", None)
    if code == "UNAUTHENTICATED":
        return (
            "it does not know this user with this password. Set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN) in the environment of this command."
        )
    if code == "PERMISSION_DENIED" and "Invalid Host header" in str(error):
        return (
            "it does not go by this name. Use the address that its administrator gives, or have this one added to "
            "its --allowed-hosts (MLFLOW_SERVER_ALLOWED_HOSTS)."
        )
    if code == "PERMISSION_DENIED":
        return (
            "this user may not do that. Ask its administrator for the permission EDIT on the experiment and on its "
            "registered models, or give the grid another name."
        )
    return None
