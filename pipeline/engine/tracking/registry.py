"""Registered models in MLflow: one for each source, one version for each of its tickets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.engine.tracking.tickets import WantedTicket

TICKET = "ticket_transfer.ticket"
"""Tag by which a version is found again, by any driver."""
PAGE = 1000


def register(client: Any, experiment: str, tickets: Iterable[tuple[WantedTicket, str]]) -> int:
    """Make the versions that are missing, and say how many; each ticket comes with the id of the run it is from.

    A version whose run is gone is made anew; of twins, made by two drivers at once, the first stays.
    """
    there, made = _versions(client, experiment), 0
    models = {version.name for versions in there.values() for version in versions}
    for ticket, run_id in tickets:
        known = sorted(there.get(ticket.key, []), key=lambda version: int(version.version))
        kept = next((version for version in known if version.run_id == run_id), None)
        for version in known:
            if version is not kept:
                client.delete_model_version(version.name, version.version)
        if kept is None:
            if ticket.model not in models:
                _create_model(client, experiment, ticket)
                models.add(ticket.model)
            _create_version(client, ticket, run_id)
            made += 1
    return made


def _versions(client: Any, experiment: str) -> dict[str, list[Any]]:
    """Those of ours, by ticket."""
    found: dict[str, list[Any]] = defaultdict(list)
    token = None
    while True:
        page = client.search_model_versions(f"tags.experiment = '{experiment}'", max_results=PAGE, page_token=token)
        for version in page:
            if TICKET in version.tags:
                found[version.tags[TICKET]].append(version)
        token = page.token
        if not token:
            return found


def _create_model(client: Any, experiment: str, ticket: WantedTicket) -> None:
    from mlflow.exceptions import MlflowException

    source = ticket.tags["source"]
    told = f"Winning tickets of {source}, found by the experiment {experiment}: a version is the ticket of one seed."
    try:
        client.create_registered_model(ticket.model, {"experiment": experiment, "source": source}, told)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _create_version(client: Any, ticket: WantedTicket, run_id: str) -> None:
    """A version whose files are the lineage, an artifact of the run.

    It cannot point into the store: MLflow's server refuses sources on its disk that are no artifact of the run, and
    copies of masks and weights would fill the server (80 MB each for a VGG-19).
    """
    client.log_text(run_id, ticket.lineage, ticket.file)
    client.create_model_version(
        ticket.model,
        f"runs:/{run_id}/{ticket.file.rpartition('/')[0]}",
        run_id,
        tags={TICKET: ticket.key, **ticket.tags},
        description=ticket.description,
        await_creation_for=0,
    )
