"""`tickets submit`: a run as a job of a Ray cluster."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from pipeline.cli.jobs import AddressOption, follow
from pipeline.cli.options import (
    DATA,
    REPORTS,
    STORE,
    TRACKING,
    File,
    Overrides,
    ReportsOption,
    StoreOption,
    TrackingOption,
)
from pipeline.cli.quantities import size
from pipeline.experiment.errors import UserError

if TYPE_CHECKING:
    from pipeline.engine.jobs.cluster import Cluster
    from pipeline.experiment.stages import Shape


def submit(
    file: File,
    address: AddressOption,
    overrides: Overrides = None,
    store: StoreOption = STORE,
    tracking: TrackingOption = TRACKING,
    data: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it at run time
        typer.Option("--data", envvar="TICKETS_DATA", help="Root folder of the data sets, on the cluster's nodes."),
    ] = None,
    reports: ReportsOption = REPORTS,
    lanes: Annotated[Optional[int], typer.Option(min=1, help="At most so many lanes. Default: what fits.")] = None,  # noqa: UP045
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first stage that fails.")] = False,
    checkpoint_minutes: Annotated[
        float, typer.Option(min=0.0, help="Minutes between checkpoints of a long stage.")
    ] = 10.0,
    installed: Annotated[
        bool, typer.Option("--installed", help="Use the package that the cluster's image has; this one is not sent.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job, and end with its exit code.")] = False,
) -> None:
    """Submit a run to a Ray cluster.

    What cannot work there is refused here.
    """
    from pipeline.engine.jobs.checks import check_addresses, check_resources
    from pipeline.engine.jobs.client import Jobs
    from pipeline.engine.jobs.cluster import find_cluster
    from pipeline.engine.jobs.packing import pack
    from pipeline.engine.jobs.submission import SUBMITTED, entrypoint, identity, job_name, place_driver
    from pipeline.experiment.loading import load_all

    name, _ = load_all(file, overrides or [])
    cluster = find_cluster(address)
    print(f"{cluster.address}: Ray {cluster.ray}, {_has(cluster)}")
    check_addresses(cluster, store, tracking)
    shapes, stages = _asked(file, overrides or [], data or DATA, cluster.here)
    if note := check_resources(cluster, shapes):
        print(note)
    place = place_driver(cluster, shapes, stages, lanes)
    with tempfile.TemporaryDirectory(prefix="ticket-transfer-job-") as folder:
        packed = pack(file, overrides or [], Path(folder), with_package=not installed)
        what = "without the package" if installed else "with the package"
        print(f"sends {packed.files} files, {size(packed.bytes)}, {what}")
        arguments = ["run", packed.grid, "--address", "auto", "--checkpoint-minutes", f"{checkpoint_minutes:g}"]
        arguments += ["--store", store if "://" in store else str(Path(store).absolute())]
        arguments += ["--tracking", _absolute(tracking)]
        arguments += ["--lanes", str(place.lanes)] if place.lanes else []
        arguments += [part for override in overrides or [] for part in ("--set", override)]
        arguments += ["--fail-fast"] if fail_fast else []
        if data is not None or cluster.here:
            arguments += ["--data", str((data or DATA).absolute() if cluster.here else data)]
        if cluster.here:
            arguments += ["--reports", str(reports.absolute())]
        job = job_name(name)
        command = entrypoint(cluster, arguments, installed=installed)
        Jobs(cluster).submit(job, command, packed.folder, name, {SUBMITTED: identity()}, place.memory)
    print(f"submitted: {job}")
    if not wait:
        print(f"Follow it with `tickets logs {job} --follow`, end it with `tickets stop {job}`.")
        return
    sys.exit(follow(cluster, job))


def _has(cluster: "Cluster") -> str:
    cpus, gpus = sum(node.cpus for node in cluster.nodes), sum(node.gpus for node in cluster.nodes)
    grows = ", and an autoscaler" if cluster.grows else ""
    return f"{len(cluster.nodes)} node(s) with {cpus:g} CPUs and {gpus:g} GPUs{grows}"


def _asked(file: Path, overrides: Sequence[str], data: Path, here: bool) -> "tuple[list[Shape], int]":
    """The shapes of the grid's lanes, and how many stages it has; a guess where its data are on the cluster alone."""
    from pipeline.experiment.collections import open_work
    from pipeline.experiment.stages import Shape

    try:
        work = open_work(file, overrides, data)
    except UserError as error:
        if here or data.is_dir():
            raise
        print(f"Cannot be planned here, only on the cluster: {error}")
        return [Shape()], 10**6
    return list({stage.shape for stage in work.stages.values()}), len(work.stages)


def _absolute(tracking: str) -> str:
    """A SQLite file by its whole path: the job runs in another folder."""
    from pipeline.engine.tracking.uri import SQLITE, sqlite_path

    path = sqlite_path(tracking)
    return tracking if path is None else f"{SQLITE}{path.absolute()}"
