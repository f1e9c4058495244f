"""`tickets doctor`: versions, devices, Ray, store and data, as this machine has them."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from pipeline.cli.options import (
    DATA,
    STORE,
    TRACKING,
    DataOption,
    JsonOption,
    StoreOption,
    TrackingOption,
)
from pipeline.experiment.errors import UserError


def doctor(
    store: StoreOption = STORE,
    tracking: TrackingOption = TRACKING,
    data: DataOption = DATA,
    as_json: JsonOption = False,
) -> None:
    """Tell what a run would find here; starts nothing."""
    from pipeline.engine.capacity import lane_limit
    from pipeline.engine.provenance import versions

    facts: dict[str, Any] = {"versions": versions()}
    cpus = os.cpu_count() or 1
    facts["cpus"] = cpus
    facts["gpus"] = _gpus()
    facts["memory"] = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"
    facts["lanes"] = f"{min(cpus, lane_limit())} of one CPU each (memory of this node allows {lane_limit()})"
    facts["ray"] = os.environ.get("RAY_ADDRESS", "a local one, started by each run")
    facts["store"] = _store(store)
    facts["tracking"] = tracking
    facts["data"] = _data(data)
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {item}" for key, item in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        print(f"{name + ':':<10} {value or 'none'}")


def _gpus() -> list[str]:
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _store(uri: str) -> str:
    from pipeline.engine.store import Store

    try:
        snapshot = Store(uri).snapshot()
    except UserError as error:
        return f"unusable: {error}"
    damage = f", {len(snapshot.problems)} damaged files (tickets verify)" if snapshot.problems else ""
    return f"{uri}: {len(snapshot)} stages done{damage}"


def _data(root: Path) -> str:
    if not root.is_dir():
        return f"{root} is not there; `digits` needs none. Set TICKETS_DATA or --data."
    return f"{root}: {', '.join(sorted(path.name for path in root.iterdir() if path.is_dir())) or 'empty'}"
