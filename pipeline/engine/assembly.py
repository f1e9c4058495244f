"""Put a ticket together from what the store keeps of it: the mask, and the weights that the survivors start from."""

import json
from typing import Any

from pipeline.engine.addresses import shown
from pipeline.engine.provenance import git_commit
from pipeline.engine.store import MissingOutput, Store
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid, Point
from pipeline.lottery import models
from pipeline.lottery.files import load_mask, load_weights
from pipeline.lottery.ticket import Ticket
from pipeline.lottery.transfer import starting_point


def assemble(grid: Grid, point: Point, store: Store) -> Ticket:
    """The ticket that `point` evaluates, exactly as its training starts from it.

    Raises UserError if the stages that make it have not run, or if its weights were collected.
    """
    stage = grid.stages[point.stage]
    inputs: dict[str, dict[str, Any]] = {}
    hashes = {}
    for role, read in stage.inputs.items():
        try:
            payload = store.read_hashed(read.stage, read.output)
        except MissingOutput as error:
            raise UserError(
                f"The ticket of {stage.label!r} is not in {shown(store.uri)}: output {read.output!r} of stage "
                f"{read.stage[:12]} {error.what}. Run the grid first: `tickets run`."
            ) from error
        inputs[role] = load_mask(payload.data) if role == "mask" else load_weights(payload.data)
        hashes[role] = payload.sha256
    fields = stage.fields
    if "model" not in fields:  # a grid that is remembered by its name: its stages' fields are in their records
        found = store.record(point.stage)
        fields = found["fields"] if found else fields
    if "model" not in fields or (fields["model"]["name"] == "user" and "model" not in stage.locations):
        lacking = "the file of its model" if "model" in fields else f"the result of {stage.label!r}"
        raise UserError(f"{grid.name} by its name lacks {lacking}: give the grid's file instead.")
    model = models.build(fields["model"], fields["input"], fields["classes"], stage.locations.get("model"))
    mask = starting_point(model, fields, inputs)
    record = store.record(point.stage)
    provenance = {
        "experiment": grid.name,
        "source": point.source,
        "target": point.target,
        "ticket": point.ticket,
        "round": point.round,
        "seed": point.seed,
        "stage": point.stage,
        "fields": json.loads(json.dumps(fields)),
        "inputs": hashes,
        "test_accuracy": record["summary"]["test_accuracy"] if record else None,
        "git_commit": git_commit(),
    }
    return Ticket(mask=mask, weights=dict(model.state_dict()), provenance=provenance)
