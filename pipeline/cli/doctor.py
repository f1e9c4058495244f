"""`tickets doctor`: versions, devices, Ray, store and data, as this machine has them."""

import importlib.metadata
import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.options import DATA, STORE, TRACKING, DataOption, JsonOption, StoreOption, TrackingOption
from pipeline.cli.quantities import size
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.lottery.published_data import Published

ALSO = ("mlflow", "pandas", "pyarrow", "scikit-learn")
"""Packages that a run needs beside those that results depend on."""


def doctor(
    store: StoreOption = STORE,
    tracking: TrackingOption = TRACKING,
    data: DataOption = DATA,
    as_json: JsonOption = False,
) -> None:
    """Show what a run would find here; starts nothing."""
    from pipeline.engine.addresses import shown
    from pipeline.engine.lanes.capacity import lane_limit
    from pipeline.engine.lanes.memory import memory_bytes
    from pipeline.engine.provenance import versions

    cpus = os.cpu_count() or 1
    facts: dict[str, Any] = {
        "versions": {**versions(), **{package: _version(package) for package in ALSO}},
        "cpus": cpus,
        "gpus": _gpus(),
        "memory_bytes": memory_bytes(),
        "lanes": min(cpus, lane_limit()),
        "lane_limit": lane_limit(),
        "ray_address": shown(os.environ.get("TICKETS_RAY_ADDRESS", "local")),
        "store": _store(store),
        "tracking": shown(tracking),
        "data": {"root": str(data), "found": _found(data), "sets": _named_sets(data)},
    }
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for name, line in _lines(facts):
        print(f"{name + ':':<10} {line}")


def _lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    store, data, ray = facts["store"], facts["data"], facts["ray_address"]
    found = f"found {', '.join(data['found'])}" if data["found"] else "nothing found; set --data or TICKETS_DATA"
    stages = f"{count_of(store['stages'], 'stage')} done"
    stages += f", {count_of(store['damaged'], 'damaged file')}" if store["damaged"] else ""
    return [
        ("versions", ", ".join(f"{name} {version}" for name, version in facts["versions"].items())),
        ("cpus", str(facts["cpus"])),
        ("gpus", ", ".join(facts["gpus"]) or "none"),
        ("memory", size(facts["memory_bytes"])),
        ("lanes", f"{facts['lanes']} of one CPU each (memory allows {facts['lane_limit']})"),
        ("ray", "a local one, started by each run" if ray == "local" else ray),
        ("store", store["uri"] + ": " + (f"unusable. {store['error']}" if store["error"] else stages)),
        ("tracking", facts["tracking"]),
        ("data", f"{data['root']}: {found}. `digits` needs no files."),
        ("data sets", "; ".join(f"{name}: {state}" for name, state in data["sets"].items())),
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _gpus() -> list[str]:
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _store(uri: str) -> dict[str, Any]:
    from pipeline.engine.addresses import shown
    from pipeline.engine.store import Store

    try:
        snapshot = Store(uri, create=False).snapshot()
    except UserError as error:
        return {"uri": shown(uri), "stages": 0, "damaged": 0, "error": str(error)}
    return {"uri": shown(uri), "stages": len(snapshot), "damaged": len(snapshot.problems), "error": None}


def _found(root: Path) -> list[str]:
    """Names of the folders with files under the data root; those of published data sets only if they are complete.

    Not those in which something is, or was, downloaded.
    """
    from pipeline.lottery.published_data import PUBLISHED

    incomplete = {known.folder.split("/")[0] for known in PUBLISHED.values() if known.missing(root)}
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    named = [path for path in folders if path.name not in incomplete and not path.name.startswith("download-")]
    return [path.name for path in named if any(path.iterdir())]


def _named_sets(root: Path) -> dict[str, str]:
    """What there is of each published data set, and how a grid reads it where it has another form."""
    from pipeline.lottery.published_data import PUBLISHED

    return {name: _state(name, known, root) for name, known in PUBLISHED.items()}


def _state(name: str, known: "Published", root: Path) -> str:
    if (root / "prepared" / name / "prepared.json").is_file():
        return "prepared"
    missing = known.missing(root)
    if not missing:
        return "complete"
    from pipeline.experiment.other_forms import other_form

    state = "absent" if len(missing) == len(known.files) else f"{known.folder} lacks {', '.join(missing)}"
    form = other_form(name, root)
    return f"{state}, but there in another form: {form}" if form else state
