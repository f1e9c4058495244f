"""The sections of the report, in the order of the page."""

from __future__ import annotations

from pipeline.report.sections import (
    beside_dense,
    beside_paper,
    connectivity,
    convergence,
    cost,
    curves,
    glance,
    how_far,
    initial,
    layers,
    learning,
    matrices,
    networks,
    overlap,
    provenance,
    sensitivity,
    settings,
    unmade,
    winning_tickets,
)
from pipeline.report.sections.section import Section

SECTIONS: tuple[Section, ...] = tuple(
    module.SECTION
    for module in (
        *(glance, networks, beside_paper, curves, sensitivity, matrices, how_far, beside_dense, winning_tickets),
        *(learning, convergence, layers, initial, connectivity, overlap, unmade, settings, cost, provenance),
    )
)
