"""Findings: all that is known of an experiment at one moment, as tables. The page, the stills and the files read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from pipeline.experiment.spec import Spec


@dataclass(frozen=True, slots=True)
class Findings:
    """One experiment, read from its store. Tables have the columns that the modules which make them document."""

    spec: Spec
    results: pd.DataFrame
    """One row a (source, target, ticket, round, seed): `results.results_table`."""
    curves: pd.DataFrame
    """Means over seeds: `statistics.curves`."""
    comparisons: pd.DataFrame
    """Paired differences and their tests: `comparisons.comparisons`."""
    histories: pd.DataFrame
    """Records of the trainings that were read: `histories.histories`."""
    convergence: pd.DataFrame
    """When each of them converged: `convergence.convergence`."""
    layers: pd.DataFrame
    """Survivors by layer: `layers.survivors_by_layer`."""
    initial_weights: pd.DataFrame
    """Starting weights of surviving connections: `initial_weights.initial_weights`."""
    connectivity: pd.DataFrame
    """Units that each unit is connected to: `connectivity.connectivity`."""
    networks: pd.DataFrame
    """Of many networks at once, how many succeed: `networks.networks`."""
    paired_networks: pd.DataFrame
    """Two ways to prune the same networks: `paired_networks.paired_networks`."""
    beside_paper: pd.DataFrame
    """Numbers of a paper beside ours: `published.beside_paper`."""
    sensitivity: pd.DataFrame
    """How much accuracy each layer costs that is pruned alone: `sensitivity.sensitivity`."""
    beside_dense: pd.DataFrame
    """Tickets beside the dense network, tested: `beside_dense.beside_dense`."""
    winning_tickets: pd.DataFrame
    """Tickets that do as well as a dense network in no more time: `winning_tickets.winning_tickets`."""
    overlap: pd.DataFrame
    """What masks have in common: `overlap.overlap`."""
    settings: pd.DataFrame
    """Fields in force beside the paper's: `settings.in_force`."""
    unmade: pd.DataFrame
    """Runs that diverged, failed, are missing or blocked by one that did: `unmade.unmade`."""
    cost: Mapping[str, Any]
    """What the results took: `cost.cost`."""
    provenance: Mapping[str, Any]
    """What they were made with: versions, hardware, commits, store, spec, when."""
    made: float
    """Unix seconds at which the store was read."""
    digest: str = ""
    """Of what the findings were made from: `files.report_digest`."""
    notes: tuple[str, ...] = ()
    """Sentences about what the report leaves out, and why."""
    damaged: tuple[str, ...] = ()
    """Those of them that name a damaged file of the store."""
    about: tuple[str, ...] = ()
    """Sentences about the data and the models: `Grid.about`."""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def unfinished(self) -> int:
        """Points without a result that a run could still make."""
        return int((self.results["status"] == "missing").sum()) - int((self.unmade["status"] == "blocked").sum())
