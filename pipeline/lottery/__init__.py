"""Tickets, pruning, controls, transfer, models, data and training: torch only."""
