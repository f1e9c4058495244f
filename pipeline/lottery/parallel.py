"""The workers that train one stage together: one process alone, or the ranks of torch.distributed's default group."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Group:
    """What a run needs of the other workers. Alone, nothing here touches torch.distributed.

    Gradients and buffers go from device to device (NCCL between GPUs); all else goes through the CPU (gloo), so that
    no GPU is waited for. Every method is collective: all ranks call the same ones in the same order.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the worker that speaks for the group: it decides, and hands over what is kept."""
        return self.rank == 0

    def data_parallel(self, model: nn.Module) -> nn.Module:
        """`model` with its gradients averaged over the group in every backward pass; it keeps its parameters.

        The ranks' parameters must be equal already. Buffers stay each rank's own (see `spread`).
        """
        if self.size == 1:
            return model
        with warnings.catch_warnings():
            # torch 2.15 deprecates broadcast_buffers for forward_sync_buffers, which torch 2.9 does not know.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(
                model,
                broadcast_buffers=False,
                init_sync=False,
                gradient_as_bucket_view=True,
                # Otherwise the first step sums gradients in other buckets than all later ones, and with more than two
                # ranks in another order: a resumed run would not have the bits of one that was not interrupted. (torch
                # warns that this is slow where all parameters are used: a walk over the graph, once a step.)
                find_unused_parameters=True,
            )

    def weight(self, part: int, whole: int) -> float:
        """What this rank's mean over `part` images is multiplied by: averaged over ranks it is the mean of `whole`."""
        return part * self.size / whole

    def total(self, *values: float) -> tuple[float, ...]:
        """Sums over the ranks, the same bits on each of them."""
        if self.size == 1:
            return values
        sums = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(sums)
        return tuple(sums.tolist())

    def decided(self, decide: Callable[[], T]) -> T:
        """What `decide` returns on rank 0; it is called nowhere else."""
        if self.size == 1:
            return decide()
        answer: list[Any] = [decide() if self.leads else None]
        dist.broadcast_object_list(answer, src=0)
        decision: T = answer[0]
        return decision

    def everyone(self, value: T) -> list[T]:
        """What each rank gave, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Rank 0's values into the tensors of all ranks."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def check_equal(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """Raises RuntimeError, on all ranks, that names the first of `tensors` in which the ranks differ by a bit.

        `where`: which run, and how far, for the message.
        """
        if self.size == 1:
            return
        first, *others = self.everyone(checksums(tensors.values()))
        for rank, sums in enumerate(others, start=1):
            unequal = [name for name, one, other in zip(tensors, first, sums, strict=True) if one != other]
            if unequal:
                raise RuntimeError(
                    f"{where}: worker {rank} of {self.size} holds another {unequal[0]} than worker 0 ({len(unequal)} "
                    f"of {len(first)} tensors differ). Is the hardware, or a file, not the same on both?"
                )


ALONE = Group()

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def checksums(tensors: Iterable[Tensor]) -> list[int]:
    """A number for each tensor, which another bit or another order changes; waits for their one device once."""
    sums: list[int] = torch.stack([_checksum(tensor.detach()) for tensor in tensors]).tolist()
    return sums


def _checksum(tensor: Tensor) -> Tensor:
    """The bits of each element as an integer, times its place, summed modulo 2^64: exact, in whatever order."""
    bits = tensor.flatten().view(_BITS[tensor.element_size()]).to(torch.int64)
    return (bits * torch.arange(1, len(bits) + 1, device=bits.device)).sum()


def is_lost_peer(error: BaseException) -> bool:
    """Whether `error` says that another worker is gone, not that anything is wrong with this one."""
    return isinstance(error, dist.DistError) or (type(error) is RuntimeError and "gloo" in str(error))
