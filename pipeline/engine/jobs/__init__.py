"""Runs as jobs of a Ray cluster: what is sent there, what is refused before, and how a job is followed."""
