"""Data sets that are not there: told once each, by a plan and before a run."""

import contextlib
import io
import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from pipeline.cli.console import say
from pipeline.experiment.absent_data import Absent, absent_data, without_data
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.experiment.grid import Work
    from pipeline.experiment.planning import Plan

PATIENCE = 10.0
"""Seconds that a server of a data set may be silent while a run waits for a download."""


def planned_without(work: "Work", todo: "Plan", root: Path) -> list[Absent]:
    """What a plan says is missing: for the stages that are to run, and for what could not be planned."""
    return [*work.absent, *absent_data((work.stages[key] for key in todo.to_run), root, ask_networks=False)]


def left_out(
    work: "Work", store: str, root: Path, console: Console, *, here: bool, allow_missing: bool
) -> Mapping[str, str]:
    """Before a run: the stages that cannot run for want of data, by key with the reason; none where all is there.

    What torchvision downloads is downloaded first. `here`: whether the stages run on this machine. On a cluster the
    files of its nodes count, which are not looked at; what was prepared at a URI is. Raises UserError for what is
    absent unless `allow_missing`, and there is anything else to run.
    """
    if not (work.absent or absent_data(work.stages.values(), root)):
        return {}
    from pipeline.engine.store import Store
    from pipeline.experiment.planning import plan

    to_run = {key: work.stages[key] for key in plan(work, Store(store, create=False).snapshot()).to_run}
    absent = absent_data(to_run.values(), root)
    for one in absent:
        if not here and not one.elsewhere:
            say(console, f"missing data on this machine, not looked for on the cluster's nodes: {one.what}", "yellow")
    lacking = {one: one.what for one in work.absent}
    lacking |= {one: told for one in absent if here or one.elsewhere if (told := _still_missing(one, root, console))}
    if not lacking:
        return {}
    out = without_data(to_run, lacking)
    if not allow_missing or not work.stages:
        raise UserError(_refusal(lacking, len(out), len(to_run)))
    labels = defaultdict(list)
    for key, reason in out.items():
        labels[reason].append(to_run[key].label)
    for one, told in lacking.items():
        say(console, f"missing data: {told}{one.hint}", "yellow")
    for reason, some in labels.items():
        more = f" and {len(some) - 1} more" if len(some) > 1 else ""
        say(console, f"left out, {count_of(len(some), 'stage')}, as {reason}: {some[0]}{more}", "yellow")
    return out


def _still_missing(absent: Absent, root: Path, console: Console) -> str:
    """What is to be said of a set that torchvision could not download either; empty where it has."""
    if not absent.downloads:
        return f"{absent.what} {absent.how}"
    from pipeline.lottery.data import DataError
    from pipeline.lottery.data.downloading import complete

    say(console, f"{absent.name} is not below {root}: torchvision downloads it")
    try:
        with _impatient(), contextlib.redirect_stdout(io.StringIO()):  # torchvision prints what it tries
            complete(absent.name, root)
    except DataError as error:
        return str(error)
    return ""


def _refusal(lacking: Mapping[Absent, str], without: int, to_run: int) -> str:
    sets = "\n".join(f"{told}{one.hint}" for one, told in lacking.items())
    what = "1 data set is" if len(lacking) == 1 else f"{len(lacking)} data sets are"
    rest = f"--allow-missing runs the {count_of(to_run - without, 'stage')} that can do without."
    return f"{what} not there, and nothing was started.\n{sets}" + (f"\n{rest}" if without < to_run else "")


def _sentence(absent: Absent) -> str:
    """One line: what is missing where, and how it comes to be there."""
    how = "`tickets run` has torchvision download it, where there is a network." if absent.downloads else absent.how
    return f"{' '.join(f'{absent.what} {how}'.split())}{absent.hint}"


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Connections that are made in here give up after `PATIENCE` seconds of silence; torchvision waits for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def as_json(absent: Sequence[Absent]) -> list[dict[str, str | None]]:
    """Each set by its name, with the sentence that a plan prints, and what a grid could name instead."""
    return [{"name": one.name, "said": _sentence(one), "otherwise": one.otherwise} for one in absent]
