"""What `tickets plan --why` says of a stage: the nearest one that is finished, and where they differ."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.engine.store import Snapshot, Store
    from pipeline.experiment.grid import Work
    from pipeline.experiment.nearest import Nearest
    from pipeline.experiment.planning import Plan


def nearest_there(work: "Work", todo: "Plan", snapshot: "Snapshot") -> "dict[str, Nearest]":
    """For each stage that is not done, the nearest one that is."""
    from pipeline.experiment.nearest import nearest

    missing = [key for key in todo.to_run if not snapshot.done(key)]
    if not missing:
        return {}
    fields = {key: record["fields"] for key in snapshot if (record := snapshot.record(key)) is not None}
    return nearest(work, missing, fields)


def explained(work: "Work", todo: "Plan", found: "Mapping[str, Nearest]", store: "Store") -> Iterator[str]:
    """A line for each stage that is to run, and at the end one for each difference, with how many stages it makes."""
    from pipeline.engine.experiments import experiments_of

    of = experiments_of(store)
    kinds: Counter[str] = Counter()
    for key, reason in todo.reasons.items():
        line = f"{key[:12]}  {work.stages[key].label}: {reason}"
        near = found.get(key)
        if near is not None:
            what = "; ".join(map(str, near.differences))
            if near.follows is not None:
                read = f"it reads {near.follows[:12]}, which is not there either"
                kinds["read another stage that is not there"] += not what
                what = f"{what}; {read}" if what else read
            elif not what:
                what = "nothing like it is in the store"
                kinds[what] += 1
            for each in near.differences:
                kinds[f"{each.field}: another stage" if each.is_reference else str(each)] += 1
            line += f"; {what}"
            if near.key is not None:
                line += f" (nearest: {near.key[:12]}{', of ' + of[near.key] if near.key in of else ''})"
        yield line
    for what, stages in kinds.most_common():
        if stages:
            yield f"{count_of(stages, 'stage')}: {what}"
