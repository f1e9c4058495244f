"""Whether the description that an experiment has in MLflow is ours to replace, or a person's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from pipeline.engine.tracking.existing_runs import ExistingRun

NOTE = "mlflow.note.content"
NOTED = "ticket_transfer.description"
"""SHA-256 of the descriptions that are ours, separated by spaces."""


def description_tags(tags: Mapping[str, str], runs: Iterable[ExistingRun], text: str) -> dict[str, str]:
    """Tags to set, in this order, for `text` to be the experiment's description; none if it is, or a person's stays.

    Once `NOTED` is there a description is ours if it is noted: one that a person has changed, shortened or emptied
    is theirs. Before, one that stands beside `runs` of the layout that had no `NOTED` was copied from the grid's file
    of that time. `NOTED` is set first and names the old text too: whatever a crash leaves is still known to be ours.
    """
    there = tags.get(NOTE)
    if there == text:
        return {}
    if NOTED in tags:
        ours = there is None or _digest(there) in tags[NOTED].split()
    else:
        ours = not there or text.startswith(there) or any(_is_old_parent(run) for run in runs)
    if not ours:
        return {}
    return {NOTED: " ".join(_digest(known) for known in (there, text) if known), NOTE: text}


def _is_old_parent(run: ExistingRun) -> bool:
    """Parents had no label `seed`."""
    return "source" in run.tags and "seed" not in run.tags


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
