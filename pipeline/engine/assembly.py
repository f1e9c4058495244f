"""Put a ticket together from what the store keeps of it: the mask, and the weights that the survivors start from."""

from typing import Any

from pipeline.engine.addresses import shown
from pipeline.engine.provenance import git_commit
from pipeline.engine.store import MissingOutput, Store
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid, Point
from pipeline.lottery import models
from pipeline.lottery.tensor_files import load_mask, load_weights
from pipeline.lottery.ticket import Ticket
from pipeline.lottery.transfer import starting_point
from pipeline.recipes.recipe import recipe_from
from pipeline.recipes.training import Train
from pipeline.recipes.users_model import UserModel


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
    record = store.record(point.stage)
    recipe = stage.known_recipe
    if recipe is None and record is not None:  # of a grid that is remembered by its name
        recipe = recipe_from(record["fields"])
    if not isinstance(recipe, Train):
        raise UserError(f"{grid.name} by its name lacks the result of {stage.label!r}: give the grid's file instead.")
    of = recipe.configuration
    if isinstance(of.model, UserModel) and "model" not in stage.locations:
        raise UserError(f"{grid.name} by its name lacks the file of its model: give the grid's file instead.")
    model = models.build(of.model, of.input, of.classes, stage.locations.get("model"))
    mask = starting_point(model, recipe, inputs)
    provenance = {
        "experiment": grid.name,
        "source": point.source,
        "target": point.target,
        "ticket": point.ticket,
        "round": point.round,
        "seed": point.seed,
        "stage": point.stage,
        "fields": recipe.fields(),
        "inputs": hashes,
        "test_accuracy": record["summary"]["test_accuracy"] if record else None,
        "git_commit": git_commit(),
    }
    return Ticket(mask=mask, weights=dict(model.state_dict()), provenance=provenance)
