"""What the stages of two small grids come to, bit for bit: masks, trained and rewound weights, histories, summaries.

Bits depend on the processor and the libraries: goldens/bits.json has those of the machines that it knows, and the test
is skipped on others. `python tests/science/test_golden_bits.py` adds this machine's, or makes them anew where a stage
is meant to come to something else (its RECIPE is raised then).
"""

import hashlib
import json
import tempfile
from pathlib import Path

import pytest
import torch

from pipeline.engine.provenance import hardware, that_decides_bits, versions
from pipeline.engine.store.records import Record
from pipeline.recipes.keys import canonical

GOLDENS = Path(__file__).with_name("goldens")
GRIDS = ("bits.yaml", "bits-networks.yaml")
KNOWN = GOLDENS / "bits.json"
LIBRARIES = ("torch", "numpy")


class Unheard:
    """A listener that tells nobody."""

    def planned(self, *arguments: object) -> None: ...
    def followed(self, *arguments: object) -> None: ...
    def said(self, *arguments: object) -> None: ...


def machine() -> str:
    """What decides bits here, as one line: virtual processors of other generations and caches may have one name."""
    libraries = {name: version for name, version in versions().items() if name in LIBRARIES}
    processor = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = dict([part.strip() for part in line.split(":", 1)] for line in reversed(processor) if ":" in line)
    details = {name: facts[name] for name in ("cpu family", "model", "stepping", "cache size") if name in facts}
    return canonical(that_decides_bits(hardware("cpu")) | libraries | details)


def run(grid: str, store: Path) -> dict[str, dict[str, str]]:
    """By a stage: the hashes of what it read and made, its status, and a hash of its summary."""
    from pipeline.engine.driver import RunOptions
    from pipeline.engine.driver import run as run_work
    from pipeline.engine.store import Store
    from pipeline.experiment.collections import open_work

    options = RunOptions(str(store), Path("data"), local=True)
    assert run_work(open_work(GOLDENS / grid, [], "data"), options, Unheard()).exit_code == 0
    snapshot, found = Store(str(store)).snapshot(), {}
    for key in snapshot:
        record = snapshot.record(key)
        assert record is not None
        found[f"{record['label']} {key[:6]}"] = _facts(record)
    return dict(sorted(found.items()))


def _facts(record: Record) -> dict[str, str]:
    read = {f"read {role}": digest[:16] for role, digest in sorted(record["inputs"].items())}
    made = {name: entry["sha256"][:16] for name, entry in sorted(record["outputs"].items()) if "sha256" in entry}
    summary = hashlib.sha256(json.dumps(record["summary"], sort_keys=True).encode()).hexdigest()
    return {**read, **made, "status": record["status"], "summary": summary[:16]}


@pytest.mark.parametrize("grid", GRIDS)
def test_stages_are_the_golden_ones_also_in_a_process_that_has_two_threads(grid: str, tmp_path: Path) -> None:
    golden = json.loads(KNOWN.read_text()).get(machine(), {})
    if grid not in golden:
        pytest.skip(f"goldens/bits.json has no bits of {machine()}: python tests/science/test_golden_bits.py adds them")
    torch.set_num_threads(2)
    found = run(grid, tmp_path)
    other = [label for label in golden[grid] if golden[grid][label] != found.get(label)]
    assert (other, sorted(found)) == ([], sorted(golden[grid])), (
        "Stages come to something else. If they are meant to: python tests/science/test_golden_bits.py"
    )


if __name__ == "__main__":
    known = json.loads(KNOWN.read_text()) if KNOWN.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        known[machine()] = {grid: run(grid, Path(folder) / grid) for grid in GRIDS}
    KNOWN.write_text(json.dumps(known, indent=1) + "\n")
