"""The process group of a lane of several workers: made once, used for every stage that the lane runs."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.lottery.parallel import Group

TIMEOUT = timedelta(hours=6)
"""How long one worker may be busy alone before the others give up on it: a new node copies all of ImageNet first. A
worker that is dead is noticed at once, without it."""


@contextlib.contextmanager
def process_group(on_gpus: bool) -> Iterator["Group"]:
    """Join all workers of this Ray Train run: gloo between CPUs and, `on_gpus`, NCCL between GPUs.

    A worker sees one GPU, its own, as `cuda:0`. After an exception the group is left as it is: to leave it in order
    would mean to wait for workers that may never come. Ray Train then ends the processes.
    """
    import ray
    import torch
    import torch.distributed as dist
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero

    from pipeline.lottery.parallel import Group

    rank, size = get_context().get_world_rank(), get_context().get_world_size()
    if on_gpus:
        torch.cuda.set_device(0)
    host, port = ray.util.get_node_ip_address(), 0
    if rank > 0:
        host, port = broadcast_from_rank_zero(None)
    store = dist.TCPStore(host, port, size, is_master=rank == 0, wait_for_workers=False)  # type: ignore[attr-defined]  # of Linux
    if rank == 0:
        broadcast_from_rank_zero((host, store.port))
    backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    yield Group(rank, size)
    dist.destroy_process_group()
