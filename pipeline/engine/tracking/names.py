"""Names of runs: what a person reads in MLflow's lists and legends."""

from pipeline.experiment.spec import ANY

LONGEST = 250
"""Characters of a run's name that MLflow's databases take."""
DIGITS = 8
"""Of a run's key, in the place of what is cut out of its name: names of different runs stay different."""


def curve_name(source: str, target: str, ticket: str, source_optimizer: str, target_optimizer: str) -> str:
    """`cifar10 -> svhn, winning, sgd`; with `sgd -> adam` where source and target have different optimizers."""
    same = source_optimizer in (ANY, target_optimizer)
    optimizers = target_optimizer if same else f"{source_optimizer} -> {target_optimizer}"
    if source == ANY:
        return f"{ticket} on {target}, {optimizers}"
    return f"{source} -> {target}, {ticket}, {optimizers}"


def shortened(name: str, key: str) -> str:
    """`name`, with its middle cut out if it is too long. `key`: of the run."""
    if len(name) <= LONGEST:
        return name
    gap = f"…{key[:DIGITS]}…"
    start = (LONGEST - len(gap)) // 2
    return name[:start] + gap + name[start + len(gap) - LONGEST :]
