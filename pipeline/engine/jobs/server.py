"""Requests to a cluster's job server: never through a proxy, never without a limit of time."""

import os
from collections.abc import Mapping
from typing import Any

from pipeline.experiment.errors import UserError

TIMEOUT = 10.0
"""Seconds for one answer."""
TOKEN_FILE = "RAY_AUTH_TOKEN_PATH"
HOW = (
    f"Put the cluster's token into the file ~/.ray/auth_token (`ray get-auth-token` on the cluster prints it), or "
    f"name a file with {TOKEN_FILE}."
)


class UnreachableError(UserError):
    """Nothing answers, not in time, or not as a Ray cluster does."""


class MissingError(UserError):
    """The cluster has not what was asked for."""


def ask(url: str, path: str, headers: Mapping[str, str], method: str = "GET") -> Any:
    """The answer of the job server at `url`, from JSON. Raises UserError, of a kind above where one fits."""
    import requests

    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy would read the token, and answers for hosts that it cannot reach
            session.verify = os.environ.get("REQUESTS_CA_BUNDLE", True)
            answer = session.request(method, url + path, headers=dict(headers), timeout=TIMEOUT)
    except requests.exceptions.RequestException as error:
        raise UnreachableError(f"{url} does not answer: {_reason(error)}.") from error
    if answer.status_code in (401, 403):
        what = "refuses the token that was given" if headers else "lets nobody in without a token"
        raise UserError(f"The cluster at {url} {what}. {HOW}")
    if answer.status_code == 404 and path.startswith("/api/jobs/"):
        raise MissingError(f"The cluster at {url} has no {path.removeprefix('/api/jobs/')}.")
    try:
        answer.raise_for_status()
        return answer.json()
    except (requests.exceptions.RequestException, ValueError) as error:
        raise UnreachableError(
            f"{url}{path.partition('?')[0]} does not answer as a Ray job server does (status {answer.status_code}). "
            "Is it the address of the dashboard, and is the cluster not much older than this machine's Ray?"
        ) from error


def _reason(error: Exception) -> str:
    """Without the long inner text of connection errors."""
    return type(error).__name__ if len(str(error)) > 200 else str(error).rstrip(".")
