"""What several grids would run, or those of folders: a line each, in one table."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from pipeline.cli.console import PIPE_WIDTH, open_console
from pipeline.cli.plan_facts import PlanFacts, describe, known_rates, read_throughput
from pipeline.cli.quantities import duration
from pipeline.experiment.errors import UserError

if TYPE_CHECKING:
    from pipeline.experiment.folders import GridFolder
    from pipeline.experiment.grid import Grid, Work

COLUMNS = ("stages", "to run", "trainings", "paper's way", "longest chain", "on one lane")
GPU_HOURS = "GPU hours"
_SENTENCE = re.compile(r".*?[.!?](?=\s+[A-Z`])|.+")


@dataclass
class Block:
    """The plans of a folder's files."""

    folder: "GridFolder"
    works: dict[Path, "Work"] = field(default_factory=dict)
    refused: dict[Path, str] = field(default_factory=dict)
    """Why a file cannot be planned."""
    facts: dict[Path, PlanFacts] = field(default_factory=dict)
    total: PlanFacts | None = None
    """Of all its files together, a stage that several have counted once; None where nothing could be planned."""


def plan_several(
    files: Sequence[Path],
    overrides: Sequence[str],
    store: str,
    data: Path,
    images_per_second: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Print the table of `files`, YAML files and folders. Raises UserError for what cannot be planned, at the end."""
    blocks = _opened(files, overrides, data)
    total = _plan_all(blocks, store, images_per_second, data)
    if as_json:
        print(json.dumps({"folders": [_as_json(block) for block in blocks], "all": total and asdict(total)}, indent=2))
    else:
        _show(blocks, total)
    refused = [str(file) for block in blocks for file in block.refused]
    if refused:
        raise UserError(
            f"{len(refused)} of the files cannot be planned: {', '.join(refused)}. `tickets plan FILE` says all of why."
        )
    if total is None:
        raise UserError(
            f"There is no grid in {', '.join(map(str, files))}: name YAML files, or folders that hold some."
        )


def _opened(files: Sequence[Path], overrides: Sequence[str], data: Path) -> list[Block]:
    """The work of each file; a grid that a collection names, too, is expanded once."""
    from pipeline.experiment.collections import open_work
    from pipeline.experiment.folders import by_folder

    blocks = [Block(folder) for folder in by_folder(files)]
    expanded: dict[Path, Grid] = {}
    for block in blocks:
        for file in block.folder.grids:
            try:
                block.works[file] = open_work(file, overrides, data, expanded, without_absent=True)
            except UserError as error:
                block.refused[file] = str(error)
    return blocks


def _plan_all(blocks: Sequence[Block], store: str, images_per_second: Sequence[str], data: Path) -> PlanFacts | None:
    """Fill in the facts of every file and folder; those of all folders together. Raises UserError."""
    from pipeline.engine.store import Store
    from pipeline.experiment.planning import plan as plan_work

    everything = _together("these files", [work for block in blocks for work in block.works.values()])
    if everything is None:
        return None
    snapshot = Store(store, create=False).snapshot()
    rates = known_rates(snapshot, read_throughput(images_per_second, everything))

    def facts(work: "Work") -> PlanFacts:
        return describe(work, plan_work(work, snapshot), rates, data)

    for block in blocks:
        block.facts = {file: facts(work) for file, work in block.works.items()}
        together = _together(str(block.folder.path), list(block.works.values()))
        block.total = None if together is None else facts(together)
    return facts(everything)


def _together(name: str, works: Iterable["Work"]) -> "Work | None":
    from pipeline.experiment.collections import together

    grids = {id(grid): grid for work in works for grid in work.grids}
    return together(name, list(grids.values())) if grids else None


def _show(blocks: Sequence[Block], total: PlanFacts | None) -> None:
    on_gpus = total is not None and total.holds_gpus
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for column in (*COLUMNS, GPU_HOURS) if on_gpus else COLUMNS:
        table.add_column(column, justify="right")

    def add(name: str, facts: PlanFacts, style: str = "") -> None:
        table.add_row(Text(name), *(_cells(facts) if on_gpus else _cells(facts)[:-1]), style=style)

    for block in blocks:
        if block.total is None:
            continue
        table.add_row(Text(str(block.folder.path), style="bold"))
        for file, facts in block.facts.items():
            several = len(facts.experiments)
            add(f"  {file.name}{f' ({several} grids)' if several > 1 else ''}", facts)
        add("  together", block.total, "bold")
    if total is not None:
        if sum(block.total is not None for block in blocks) > 1:
            add("all folders", total, "bold")
        console = open_console()
        console.width = max(console.width, PIPE_WIDTH)  # in a narrower terminal lines wrap, numbers are not cut
        console.print(table)
        _explain([*(facts for block in blocks for facts in block.facts.values()), total])
    for block in blocks:
        for line in _notes(block):
            print(fill(line, PIPE_WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False))
    for absent in total.missing_data if total else ():
        print(f"missing data: {absent['said']}")


def _cells(facts: PlanFacts) -> list[str]:
    """As COLUMNS and GPU_HOURS name them."""
    never = "> " if facts.trainings_never_timed else ""
    left, time, hours = facts.to_run > 0, "?", "?"
    if facts.seconds is not None:
        time, hours = f"{never}{duration(facts.seconds)}", f"{never}{facts.gpu_hours:,.1f}"
    return [
        *(f"{facts.to_run + facts.cached + len(facts.blocked):,}", f"{facts.to_run:,}"),
        *(f"{facts.trainings:,}", f"{facts.requested.get('train', 0):,}", f"{facts.chain_iterations:,}"),
        *(time if left else "done", hours if left and facts.holds_gpus else ""),
    ]


def _explain(listed: Sequence[PlanFacts]) -> None:
    """What the cells do not say themselves."""
    print("paper's way: trainings if every evaluation were made anew; longest chain: iterations one after another")
    print("together: stages that several grids have are counted once")
    waiting = [facts for facts in listed if facts.to_run]
    if any(facts.seconds is None for facts in waiting):
        print("?: nothing like it has run on this store yet (--images-per-second estimates it)")
    if any(facts.seconds is not None and facts.trainings_never_timed for facts in waiting):
        print(">: without the trainings that were never timed")


def _notes(block: Block) -> Iterable[str]:
    where = block.folder.path
    if block.folder.parts:
        names = ", ".join(file.name for file in block.folder.parts)
        yield f"{where}: left out, parts that others extend or name: {names}"
    if block.folder.unopened:
        names = ", ".join(path.name for path in block.folder.unopened)
        yield f"{where}: not looked into, name them as well: {names}"
    if not (block.folder.grids or block.folder.parts):
        yield f"{where}: no YAML file"
    for file, error in block.refused.items():
        told = _first_sentence(error)
        yield f"cannot be planned: {told if told.startswith(str(file)) else f'{file}: {told}'}"


def _first_sentence(message: str) -> str:
    line = message.strip().partition("\n")[0]
    found = _SENTENCE.match(line)
    return found.group() if found else line


def _as_json(block: Block) -> dict[str, object]:
    return {
        "folder": str(block.folder.path),
        "files": {file.name: asdict(facts) for file, facts in block.facts.items()},
        "parts": [file.name for file in block.folder.parts],
        "refused": {file.name: error for file, error in block.refused.items()},
        "together": block.total and asdict(block.total),
    }
