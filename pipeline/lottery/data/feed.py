"""Streamed images to the device: decoded ahead of the training by worker processes, in the order asked for."""

import signal
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.streamed import Streamed

CHUNK_BYTES = 8 * 2**20
"""Pixels that a process decodes at a time: 42 images of 3x256x256. Whole batches would fill the memory ahead."""
BATCHES_AHEAD = 2


class Feed:
    """Batches of streamed images on a device. Its processes end when it is closed or dropped, or its owner dies."""

    def __init__(self, pixels: Streamed, device: torch.device, batch_size: int) -> None:
        self._pixels = pixels
        self._device = device
        each = max(1, min(batch_size, CHUNK_BYTES // max(1, pixels.shape[1:].numel())))
        self._chunks = _Chunks(each)
        decoders = max(1, pixels.decoders)
        self._loader: DataLoader[Any] | None = DataLoader(
            _Decoder(pixels),
            batch_size=None,
            sampler=self._chunks,
            num_workers=decoders,
            collate_fn=_as_it_is,
            pin_memory=device.type == "cuda",
            prefetch_factor=max(2, -(-BATCHES_AHEAD * batch_size // (each * decoders))),
            persistent_workers=True,
            worker_init_fn=_leave_signals_to_the_owner,
            # Of its own: from the common one each iteration would take a number that dropout then does not see.
            generator=torch.Generator(),
        )
        self._decoded: Iterator[Tensor | DataError] | None = None

    def begin(self, batches: Iterable[list[int]]) -> None:
        """From now on give these batches, lists of positions. What was decoded ahead of another order is dropped."""
        if self._loader is None:
            raise ValueError("This feed of images is closed.")
        self._chunks.batches = batches
        self._decoded = iter(self._loader)

    def take(self, count: int) -> Tensor:
        """The `count` images of the next batch: uint8 [count, C, H, W] on the device. A DataError closes the feed."""
        if self._decoded is None:
            raise ValueError("This feed of images was not begun.")
        chunks, taken = [], 0
        while taken < count:
            chunk = next(self._decoded)
            if isinstance(chunk, DataError):
                self.close()
                raise chunk
            chunks.append(chunk.to(self._device, non_blocking=True))
            taken += len(chunk)
        if len(chunks) == 1:
            return chunks[0]
        return torch.cat(chunks) if chunks else torch.empty(0, *self._pixels.shape[1:], device=self._device).byte()

    def close(self) -> None:
        """End the processes. Closing twice does nothing more."""
        self._decoded = None
        self._loader = None


class _Chunks(Sampler[list[int]]):
    """Batches in runs of at most `each` positions; which batches is said anew before each iteration."""

    def __init__(self, each: int) -> None:
        self._each = each
        self.batches: Iterable[list[int]] = ()

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            for start in range(0, len(batch), self._each):
                yield batch[start : start + self._each]


class _Decoder(Dataset[Tensor]):
    """A map-style data set whose key is a list of positions."""

    def __init__(self, pixels: Streamed) -> None:
        self._pixels = pixels

    def __getitem__(self, positions: list[int]) -> Tensor | DataError:  # type: ignore[override]  # a list is one key here
        try:
            return self._pixels.read(positions)
        except DataError as error:  # as a value: raised there, it would come back wrapped in a stack trace
            return error


def _as_it_is(chunk: Any) -> Any:
    return chunk


def _leave_signals_to_the_owner(worker: int) -> None:
    """A forked process has its parent's handlers; a Ctrl-C is for the parent alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
