"""`tickets submit`: a run as a job of a Ray cluster."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.cluster_address import AddressOption, at
from pipeline.cli.logs import follow_job
from pipeline.cli.quantities import size
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.engine.jobs.cluster import Cluster
    from pipeline.experiment.spec import Spec
    from pipeline.experiment.stages import Shape


def submit(
    context: typer.Context,
    file: options.File,
    address: AddressOption = "",
    overrides: options.Overrides = None,
    store: options.StoreOption = options.STORE,
    tracking: options.TrackingOption = options.TRACKING,
    data: Annotated[
        Path,
        typer.Option("--data", envvar="TICKETS_DATA", help="Root folder of the data sets, on the cluster's nodes."),
    ] = options.DATA,
    reports: options.ReportsOption = options.REPORTS,
    lanes: options.LanesOption = None,
    fail_fast: options.FailFastOption = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out stages whose prepared data are not at their URI.")
    ] = False,
    checkpoint_minutes: options.CheckpointOption = 10.0,
    installed: Annotated[
        bool, typer.Option("--installed", help="Use the package that the cluster's image has; this one is not sent.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job, and end with its exit code.")] = False,
) -> None:
    """Submit a run to a Ray cluster.

    What cannot work there is refused here.
    """
    from pipeline.engine.jobs.checks import check_addresses, check_resources
    from pipeline.engine.jobs.client import submit as send
    from pipeline.engine.jobs.cluster import find_cluster
    from pipeline.engine.jobs.packing import pack
    from pipeline.engine.jobs.submission import SUBMITTED, entrypoint, identity, job_name, place_driver
    from pipeline.engine.lanes.ray_token import keep_token_private
    from pipeline.experiment.loading import load_all

    overrides = overrides or []
    name, specs = load_all(file, overrides)
    for mended in keep_token_private(make=False):
        print(mended)
    cluster = find_cluster(address)
    print(f"{cluster.address}: Ray {cluster.ray}, {_has(cluster)}")
    check_addresses(cluster, store, tracking)
    shapes = _shapes(specs)
    if note := check_resources(cluster, shapes):
        print(note)
    place = place_driver(cluster, shapes, _stages(file, overrides, data, cluster), lanes)
    if place.lanes is not None and place.lanes < (lanes or place.lanes + 1):
        lanes_said = count_of(place.lanes, "lane")
        print(f"At most {lanes_said}: so many controllers, of 0.4 GB each, have room beside the driver.")
    with tempfile.TemporaryDirectory(prefix="ticket-transfer-job-") as folder:
        packed = pack(file, overrides, Path(folder), with_package=not installed)
        what = "without the package" if installed else "with the package"
        print(f"sends {count_of(packed.files, 'file')}, {size(packed.bytes)}, {what}")
        arguments = ["run", packed.grid, "--address", "auto", "--checkpoint-minutes", f"{checkpoint_minutes:g}"]
        arguments += ["--store", store if "://" in store else str(Path(store).absolute())]
        arguments += ["--tracking", _absolute(tracking)]
        arguments += ["--lanes", str(place.lanes)] if place.lanes else []
        arguments += [part for override in overrides for part in ("--set", override)]
        arguments += ["--fail-fast"] if fail_fast else []
        arguments += ["--allow-missing"] if allow_missing else []
        if cluster.here:
            arguments += ["--data", str(data.absolute())]
        elif _given(context, "data"):  # what this machine's environment says is of this machine
            arguments += ["--data", str(data)]
        if cluster.here or reports.is_absolute():
            arguments += ["--reports", str(reports.absolute())]
        job = job_name(name)
        command = entrypoint(cluster, arguments, installed=installed)
        environment = {SUBMITTED: identity()} if installed else {}
        send(cluster, job, command, packed.folder, experiment=name, environment=environment, memory=place.memory)
    print(f"submitted: {job}")
    if not cluster.here and not reports.is_absolute():
        print(f"Its report is MLflow's; `tickets report {file} --store {store}` writes it here.")
    if not wait:
        print(
            f"Follow it with `tickets logs {job} --follow{at(cluster)}`, end it with `tickets stop {job}{at(cluster)}`."
        )
        return
    sys.exit(follow_job(cluster, job))


def _has(cluster: "Cluster") -> str:
    cpus, gpus = sum(node.cpus for node in cluster.nodes), sum(node.gpus for node in cluster.nodes)
    grows = ", and an autoscaler" if cluster.grows else ""
    return f"{count_of(len(cluster.nodes), 'node')} with {count_of(cpus, 'CPU')} and {count_of(gpus, 'GPU')}{grows}"


def _shapes(specs: "Sequence[Spec]") -> "list[Shape]":
    """Of the grids' lanes."""
    from pipeline.experiment.stages import Shape

    sides = [side for spec in specs for side in (*spec.sources, *spec.targets, *spec.baselines)]
    wanted = [side.resources for side in sides]
    return list(dict.fromkeys(Shape(each.workers, each.gpus_per_worker, each.cpus_per_worker) for each in wanted))


def _stages(file: Path, overrides: Sequence[str], data: Path, cluster: "Cluster") -> int:
    """How many stages the grids have; very many where their data are not on this machine."""
    from pipeline.experiment.collections import open_work

    try:
        return len(open_work(file, overrides, data).stages)
    except UserError as error:
        if cluster.here:
            raise
        print(f"Planned on the cluster alone, not here: {error}")
        return 10**6


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _absolute(tracking: str) -> str:
    """A SQLite file by its whole path: the job runs in another folder."""
    from pipeline.engine.tracking.uri import SQLITE, sqlite_path

    path = sqlite_path(tracking)
    return tracking if path is None else f"{SQLITE}{path.absolute()}"
