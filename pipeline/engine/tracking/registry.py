"""Registered models in MLflow: one for each source, one version for each seed's ticket."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from pipeline.engine.tracking.client import Counts
    from pipeline.engine.tracking.tickets import WantedTicket

TICKET = "ticket_transfer.ticket"
"""Tag by which a version is found again, by any driver."""
COPIED = "models:/"
"""What the source of a version begins with that `copy_model_version` made, which copies tags as well."""
PAGE = 1000
Registered = tuple[str, int, str | None, str]
"""Of a version: model, number, id of its run, key of its ticket."""


def register(
    client: MlflowClient, experiment: str, tickets: Iterable[tuple[WantedTicket, str]], counts: Counts
) -> None:
    """Make the versions that are missing; each ticket comes with the id of the run it is from.

    A version whose run is gone is made anew, one whose ticket the grid has replaced by another (of a later round, of
    another training) is removed, and of twins, made by two drivers at once, the first stays. A version that has an
    alias stays in any case, and what a person has copied is not looked at.
    """
    there, made = _versions(client, experiment), []
    models = {name for name, _ in there}
    for ticket, run_id in tickets:
        of_seed = there.get((ticket.model, ticket.tags["seed"]), [])
        kept = next((version for version in of_seed if _is(version, ticket, run_id)), None)
        if kept is None:
            if ticket.model not in models:
                _create_model(client, experiment, ticket)
                models.add(ticket.model)
            made.append((ticket, run_id, _create_version(client, ticket, run_id)))
            counts.versions += 1
        for version in of_seed:
            if version is not kept:
                _delete(client, version, counts)
    if made:
        _withdraw_twins(client, experiment, made, counts)


def registered(client: MlflowClient, experiment: str) -> list[Registered]:
    """Versions of ours that are there."""
    found = [version for of_seed in _versions(client, experiment).values() for version in of_seed]
    return [(version.name, int(version.version), version.run_id, version.tags[TICKET]) for version in found]


def _versions(client: MlflowClient, experiment: str) -> dict[tuple[str, str], list[ModelVersion]]:
    """Those of ours, by model and seed, the first version first."""
    found: dict[tuple[str, str], list[ModelVersion]] = defaultdict(list)
    token = None
    while True:
        page = client.search_model_versions(f"tags.experiment = '{experiment}'", max_results=PAGE, page_token=token)
        for version in page:
            if TICKET in version.tags and "seed" in version.tags and not str(version.source).startswith(COPIED):
                found[version.name, version.tags["seed"]].append(version)
        token = page.token
        if not token:
            return {
                names: sorted(versions, key=lambda version: int(version.version)) for names, versions in found.items()
            }


def _is(version: ModelVersion, ticket: WantedTicket, run_id: str) -> bool:
    return bool(version.tags[TICKET] == ticket.key and version.run_id == run_id)


def _delete(client: MlflowClient, version: ModelVersion, counts: Counts) -> None:
    """Remove it unless it has an alias. It is asked for alone: what a search finds may come without its aliases."""
    if not client.get_model_version(version.name, version.version).aliases:
        client.delete_model_version(version.name, version.version)
        counts.versions_deleted += 1


def _withdraw_twins(
    client: MlflowClient, experiment: str, made: list[tuple[WantedTicket, str, ModelVersion]], counts: Counts
) -> None:
    """Remove what was `made` just now where another driver was first: each driver removes only its own."""
    there = _versions(client, experiment)
    for ticket, run_id, own in made:
        of_seed = there.get((ticket.model, ticket.tags["seed"]), [])
        first = next((version for version in of_seed if _is(version, ticket, run_id)), None)
        if first is not None and int(first.version) < int(own.version):
            _delete(client, own, counts)


def _create_model(client: MlflowClient, experiment: str, ticket: WantedTicket) -> None:
    from mlflow.exceptions import MlflowException

    source = ticket.tags["source"]
    description = (
        f"Winning tickets of {source}, found by the experiment {experiment}: a version is the ticket of one seed."
    )
    try:
        client.create_registered_model(ticket.model, {"experiment": experiment, "source": source}, description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _create_version(client: MlflowClient, ticket: WantedTicket, run_id: str) -> ModelVersion:
    """A version whose files are the lineage, an artifact of the run.

    It cannot point into the store: MLflow's server refuses sources on its disk that are no artifact of the run, and
    copies of masks and weights would fill the server (80 MB each for a VGG-19).
    """
    client.log_text(run_id, ticket.lineage, ticket.file)
    return client.create_model_version(
        ticket.model,
        f"runs:/{run_id}/{ticket.file.rpartition('/')[0]}",
        run_id,
        tags={TICKET: ticket.key, **ticket.tags},
        description=ticket.description,
        await_creation_for=0,
    )
