"""The tickets that a grid has found, as versions of registered models: what is said of them, and where they are."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.engine.addresses import shown
from pipeline.engine.store.records import Records
from pipeline.engine.tracking.report import REPORT_RUN
from pipeline.engine.tracking.runs import run_key
from pipeline.recipes.keys import key_of

if TYPE_CHECKING:
    from pipeline.experiment.grid import Grid, Point
    from pipeline.recipes.references import Reference


class Kept(Records, Protocol):
    """A store's snapshot, as far as tickets read it."""

    def available(self, key: str, output: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class WantedTicket:
    """A version of a registered model as it should be in MLflow."""

    key: str
    """Of what the ticket is made of: the same ticket is registered once."""
    model: str
    run: str
    """Key of the run in which the ticket was evaluated: on its own source, if the grid does that."""
    tags: Mapping[str, str]
    description: str
    file: str
    """Name of the artifact that tells its lineage."""
    lineage: str
    """Content of that artifact: JSON."""


def model_name(experiment: str, source: str) -> str:
    """Of the registered model. Names in a grid have none of the characters that MLflow refuses here."""
    return f"{experiment}.{source}"


def tickets_of(grid: Grid, snapshot: Kept, store: str) -> list[WantedTicket]:
    """For each source and seed the ticket of the last round, if the store at the address `store` has it whole.

    Only the last: a grid of 6 sources, 14 rounds and 6 seeds would otherwise have 504 versions, and any round's ticket
    is one `tickets export` away.
    """
    found = [_ticket(grid, snapshot, store, point) for point in _last_points(grid)]
    return [ticket for ticket in found if ticket is not None]


def _last_points(grid: Grid) -> list[Point]:
    """For each source and seed the last winning point with a mask; on the source itself, if that is a target."""
    kind = next(iter(grid.spec.winning), None)
    last: dict[tuple[str, int], Point] = {}
    for point in grid.points:
        if point.ticket != kind or point.mask is None:
            continue
        known = last.get((point.source, point.seed))
        if known is None or _rank(point) > _rank(known):
            last[point.source, point.seed] = point
    return list(last.values())


def _rank(point: Point) -> tuple[int, bool]:
    return point.round, point.target == point.source


def _ticket(grid: Grid, snapshot: Kept, store: str, point: Point) -> WantedTicket | None:
    parts: dict[str, dict[str, Any]] = {}
    for role, read in grid.stages[point.stage].inputs.items():
        part = _part(snapshot, read)
        if part is None:
            return None
        parts[role] = part
    pruned: Mapping[str, Any] = snapshot.record(point.mask or "") or {}
    evaluated = snapshot.record(point.stage)
    tags = {
        "experiment": grid.name,
        "source": point.source,
        "round": str(point.round),
        "seed": str(point.seed),
        "fraction_pruned": f"{point.fraction_pruned:.6g}",
        "survivors": str(point.survivors),
        "mask_sha256": parts["mask"]["sha256"],
    }
    lineage = {
        **tags,
        "ticket": point.ticket,
        "weights": point.total,
        "evaluated_on": point.target,
        "test_accuracy": evaluated["summary"].get("test_accuracy") if evaluated else None,
        "evaluation": point.stage,
        "store": shown(store),
        "made_of": parts,
        "pruning": {name: pruned.get(name) for name in ("fields", "git_commit", "versions", "hardware", "finished")},
        "export": _export_command(point),
    }
    made_of = {f"{role}_{what}": part[what] for role, part in parts.items() for what in ("stage", "sha256")}
    return WantedTicket(
        key=key_of({**tags, **made_of}),
        model=model_name(grid.name, point.source),
        run=run_key(grid.name, point.source, point.target, point.ticket, point.seed),
        tags=tags,
        description=_describe(point, parts, shown(store), str(pruned.get("git_commit") or "unknown")),
        file=f"ticket/round-{point.round}.json",
        lineage=json.dumps(lineage, indent=2),
    )


def _describe(point: Point, parts: Mapping[str, Mapping[str, Any]], store: str, commit: str) -> str:
    """Markdown: what it is, how to have it as a file, what it is made of."""
    made_of = [
        f"- {role}: output `{part['output']}` of stage `{part['stage']}`, SHA-256 `{part['sha256']}`"
        for role, part in parts.items()
    ]
    if "weights" not in parts:
        made_of.append(f"- weights: as seed {point.seed} initializes the model")
    return "\n".join(
        [
            f"Ticket of {point.source}, seed {point.seed}, round {point.round}: {point.survivors:,} of {point.total:,} "
            f"weights are left ({100 * point.survivors / point.total:.3g} %). It was evaluated in the source run, "
            "whose artifacts have its lineage.",
            "",
            "As one file, which `pipeline.Ticket.load` reads:",
            "",
            f"    {_export_command(point)}",
            "",
            f"FILE is the grid's file; the run `{REPORT_RUN}` has it among its artifacts as `spec.yaml`.",
            "",
            f"Made of, in the store `{store}`:",
            "",
            *made_of,
            f"- code: commit `{commit}`",
        ]
    )


def _part(snapshot: Kept, read: Reference) -> dict[str, Any] | None:
    """Where one file of the ticket is, and its hash; None unless the store has it."""
    record = snapshot.record(read.stage)
    if record is None or not snapshot.available(read.stage, read.output):
        return None
    kept = record["outputs"][read.output]
    return {"stage": read.stage, "output": read.output, **{name: kept[name] for name in ("path", "sha256", "size")}}


def _export_command(point: Point) -> str:
    options = {
        "--source": point.source,
        "--target": point.target,
        "--ticket": point.ticket,
        "--round": point.round,
        "--seed": point.seed,
    }
    given = " ".join(f"{option} {shlex.quote(str(value))}" for option, value in options.items())
    return f"tickets export FILE ticket.safetensors {given}"
