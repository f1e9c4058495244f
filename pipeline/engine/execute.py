"""Run one stage: read what it needs from the store, let `lottery` do it, write what is wanted."""

import contextlib
import json
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from pipeline.engine.lanes.leases import Lease, ReportProgress
from pipeline.engine.lanes.outcomes import Outcome
from pipeline.engine.provenance import git_commit, versions
from pipeline.engine.store import CorruptOutput, MissingOutput, Store
from pipeline.engine.store.patience import StoreError
from pipeline.engine.store.records import Record
from pipeline.experiment.stages import Stage
from pipeline.lottery import plugins
from pipeline.lottery.checkpoint import Checkpoint
from pipeline.lottery.data import DataError, ImageCache
from pipeline.lottery.hooks import Hooks, Interrupted
from pipeline.lottery.masks import next_mask
from pipeline.lottery.parallel import ALONE, Group, is_lost_peer
from pipeline.lottery.tensor_files import load_mask, load_weights, save_mask, save_weights
from pipeline.lottery.training import train
from pipeline.recipes.pruning import Prune
from pipeline.recipes.training import Train

IMAGE_BYTES = 2 * 2**30
"""Decoded data sets that a lane's process keeps between stages: CIFAR-10 is 184 MB."""


@dataclass(slots=True)
class Bench:
    """What a process needs to run stages, kept from one stage to the next."""

    store: Store
    images: ImageCache
    driver: str
    hardware: dict[str, str]
    device: str = "cpu"
    decoders: int = 1
    """Processes that decode images where they are streamed."""
    checkpoint_seconds: float = 600.0
    stop: threading.Event = field(default_factory=threading.Event)
    """Set to have the stage checkpoint and end as `interrupted`."""
    group: Group = ALONE
    """The workers of the lane. Rank 0 decides, reads what one must, writes and reports; the others train with it."""


def execute(lease: Lease, bench: Bench, progress: ReportProgress) -> Outcome:
    """One attempt. Whatever goes wrong comes back as an outcome; nothing but the end of the process escapes.

    In a group, all ranks execute the same lease; only rank 0's outcome has a record.
    """
    try:
        settled = bench.group.decided(lambda: _settle(lease, bench))
        if settled is not None:
            return settled
        try:
            return Outcome("done", record=_run(lease, bench, progress))
        finally:
            if bench.group.leads:
                with contextlib.suppress(OSError):  # claims are advisory; what became of the stage is known
                    bench.store.claims.release(lease.stage.key, bench.driver)
    except Interrupted:
        return Outcome("interrupted")
    except _RetiredError:
        return Outcome("claimed")
    except (MissingOutput, CorruptOutput) as error:
        return Outcome("lost input", lost=(error.key, error.output), message=str(error))
    except StoreError as error:
        return Outcome("lost store", store_error=error, message=str(error))
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        return Outcome("failed", error_class="out of memory", message=str(error), trace=traceback.format_exc())
    except (DataError, plugins.PluginError) as error:  # said in words for the user; trying again changes nothing
        return Outcome("failed", error_class="user", message=str(error))
    except PermissionError as error:  # of a file of another owner, say: other stages may not meet it
        where = error.filename2 or error.filename
        message = f"{where}: {error.strerror}. Make it writable, or remove it, then run the same command again"
        return Outcome("failed", error_class="user", message=message)
    except Exception as error:  # a stage's own exception must not take the lane with it
        if is_lost_peer(error):
            where = f"worker {bench.group.rank} of the lane lost another"
            return Outcome("failed", error_class="lost worker", message=where, trace=traceback.format_exc())
        return Outcome(
            "failed",
            error_class="exception",
            message=f"{type(error).__name__}: {error}",
            trace=traceback.format_exc(),
            poisoned="CUDA error" in str(error),
        )


class _RetiredError(Exception):
    """The driver was killed and retired by another one, which this lane outlived: the stage is that one's now."""


def _settle(lease: Lease, bench: Bench) -> Outcome | None:
    """Why the stage is not to be run now; None: it is, and has been claimed."""
    stage, store = lease.stage, bench.store
    record = store.record(stage.key)
    if record is not None and store.has(record, _possible(record, lease.wanted)):
        return Outcome("done", record=record, ran=False)
    return None if store.claims.claim(stage.key, bench.driver) else Outcome("claimed")


def _possible(record: Record, wanted: frozenset[str]) -> frozenset[str]:
    """What of `wanted` running the stage again could make: a diverged training has no weights."""
    return wanted & {"history"} if record["status"] == "diverged" else wanted


def _run(lease: Lease, bench: Bench, progress: ReportProgress) -> Record | None:
    """The record of the stage, which is in the store; None on ranks that only train along."""
    stage, started = lease.stage, time.time()
    clock = time.perf_counter()
    if stage.kind == "prune" and not bench.group.leads:
        return None
    inputs, hashes = _read_inputs(stage, bench.store)
    recipe, timed = stage.recipe, 0
    if isinstance(recipe, Train):
        status, payloads, summary, timed = _train(lease, recipe, inputs, bench, progress)
    else:
        status, payloads, summary = _prune(recipe, inputs, stage.locations.get("criterion"))
    if not bench.group.leads:
        return None
    if not bench.store.drivers.is_present(bench.driver):
        raise _RetiredError
    outputs = {}
    for name, (data, suffix) in payloads.items():
        outputs[name] = bench.store.put_output(stage.key, name, data, suffix)
        if name not in lease.keep and name != "history":
            outputs[name]["transient"] = True
    record: Record = {
        "key": stage.key,
        "fields": recipe.fields(),
        "label": stage.label,
        "status": status,
        "outputs": outputs,
        "inputs": hashes,
        "summary": summary,
        "started": started,
        "finished": time.time(),
        "seconds": time.perf_counter() - clock,
        "iterations": stage.iterations,
        "timed_iterations": timed,
        "gpus_per_worker": stage.shape.gpus_per_worker,
        "attempt": f"{bench.driver}/{lease.attempt}",
        "driver": bench.driver,
        "hardware": bench.hardware,
        "versions": versions(),
        "git_commit": git_commit(),
    }
    record = bench.store.finish(record)
    bench.store.checkpoints.drop(stage.key)
    return record


def _read_inputs(stage: Stage, store: Store) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, str]]:
    inputs, hashes = {}, {}
    for role, read in stage.inputs.items():
        payload = store.read_hashed(read.stage, read.output)
        inputs[role] = load_mask(payload.data) if role == "mask" else load_weights(payload.data)
        hashes[role] = payload.sha256
    return inputs, hashes


Payloads = dict[str, tuple[bytes, str]]


def _prune(
    recipe: Prune, inputs: dict[str, dict[str, torch.Tensor]], file: str | None
) -> tuple[str, Payloads, dict[str, Any]]:
    """`file`: of the user's criterion."""
    mask = next_mask(recipe, inputs, file)
    survivors = {name: int(kept.sum()) for name, kept in mask.items()}
    total = {name: kept.numel() for name, kept in mask.items()}
    summary = {
        "survivors": survivors,
        "total": total,
        "fraction_pruned": 1 - sum(survivors.values()) / sum(total.values()),
    }
    return "ok", {"mask": (save_mask(mask), "safetensors")}, summary


def _train(
    lease: Lease,
    recipe: Train,
    inputs: dict[str, dict[str, torch.Tensor]],
    bench: Bench,
    progress: ReportProgress,
) -> tuple[str, Payloads, Mapping[str, Any], int]:
    """Status, outputs, summary, and how many iterations this attempt did: a checkpoint has spared it the others."""
    stage, store = lease.stage, bench.store
    attempt = f"{bench.driver}-{lease.attempt}"
    due = time.monotonic() + bench.checkpoint_seconds

    def write(checkpoint: Checkpoint) -> None:
        nonlocal due
        store.checkpoints.write(stage.key, attempt, checkpoint.iteration, checkpoint.to_bytes())
        due = time.monotonic() + bench.checkpoint_seconds

    images = bench.images.get(
        recipe.configuration.data,
        stage.locations.get("data"),
        images=stage.shape.images,
        device=bench.device,
        decoders=bench.decoders,
        share=stage.shape.gpus_per_worker or 1.0,
    )
    resume = _checkpoint(stage.key, bench)
    trained = train(
        recipe,
        inputs,
        images,
        device=bench.device,
        capture=frozenset(int(name[2:]) for name in lease.wanted if name.startswith("it")),
        early_stop="early-stop" in lease.wanted,
        model_file=stage.locations.get("model"),
        resume=resume,
        hooks=Hooks(
            progress=progress,
            should_stop=bench.stop.is_set,
            checkpoint_due=lambda: time.monotonic() > due,
            checkpoint=write,
        ),
        group=bench.group,
    )
    payloads: Payloads = {"history": (json.dumps(trained.history).encode(), "json")}
    if trained.final is not None and "final" in lease.wanted:
        payloads["final"] = (save_weights(trained.final), "safetensors")
    if trained.early_stop is not None:
        payloads["early-stop"] = (save_weights(trained.early_stop), "safetensors")
    for iteration, state in trained.captured.items():
        payloads[f"it{iteration}"] = (save_weights(state), "safetensors")
    begun = resume.iteration if resume is not None else recipe.first_iteration
    return trained.status, payloads, trained.summary, trained.summary["iterations"] - begun


def _checkpoint(key: str, bench: Bench) -> Checkpoint | None:
    """The furthest checkpoint that can be read, the same on all ranks; the stage starts anew where there is none."""
    found = bench.group.decided(lambda: bench.store.checkpoints.best(key))
    try:
        return Checkpoint.from_bytes(found[1]) if found else None
    except ValueError:
        if bench.group.leads:
            bench.store.checkpoints.drop(key)
        return None
