"""Which images a run trains on at which iteration, and which it is tested on: augmented, normalized, on the device."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.lottery.augmentation import Augmentation, Draws, centred
from pipeline.lottery.data import Images
from pipeline.lottery.data.feed import Feed
from pipeline.lottery.data.streamed import Streamed
from pipeline.lottery.normalization import Normalization
from pipeline.lottery.randomness import generator
from pipeline.recipes.keys import canonical
from pipeline.recipes.training import Train


class Batches:
    """Batches by iteration number, so that a run can begin or resume at any.

    Order and augmentation derive from (seed, data, round, epoch) alone: all tickets of a round see the same, and the
    ranks of a group together see what one worker would. Streamed images are the same bits as images in memory.
    """

    def __init__(
        self,
        recipe: Train,
        images: Images,
        normalize: Normalization,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Moves training images that are in memory to `device`."""
        configuration = recipe.configuration
        self._labels = images.train_y.to(device)  # int64 [N]
        self._stored = images.train_x.shape[2], images.train_x.shape[3]
        self._seen = images.size
        self._normalize = normalize
        self._batch_size = configuration.schedule.batch_size
        self._iterations = configuration.schedule.iterations
        self._rank, self._world_size = rank, world_size
        self._augmentation = Augmentation.of(configuration.augment)
        self.stream: tuple[str | int, ...] = (recipe.seed, canonical(configuration.data.fields()), recipe.round)
        """What names this run's random streams; paired tickets share it."""
        self._epoch = -1
        self._order: Tensor
        self._ordered_labels: Tensor
        self._draws: Draws
        self.per_epoch = -(-len(self._labels) // self._batch_size)
        """Iterations an epoch; the last batch may be smaller."""
        self._expected = -1  # the iteration whose images a feed gives next
        self._images: Tensor | Feed  # uint8 [N, C, H, W]
        if isinstance(images.train_x, Streamed):
            self._images = Feed(images.train_x, device, -(-self._batch_size // world_size))
        else:
            self._images = images.train_x.to(device)

    def at(self, iteration: int) -> tuple[Tensor, Tensor]:
        """This rank's part of the batch after `iteration` iterations: images float32 [b, C, H, W], labels int64 [b].

        Rank r of n has the r-th part of `torch.tensor_split`; it is empty where a batch has fewer images than ranks.
        Raises DataError about a streamed image that cannot be read.
        """
        epoch, step = divmod(iteration, self.per_epoch)
        if epoch != self._epoch:
            self._begin(epoch)
        positions = self._part(step)
        if isinstance(self._images, Feed):
            images = self._fed(self._images, iteration, positions.stop - positions.start)
        else:
            # index_select copies whole images: 15 us a batch of 128 from MNIST, where indexing takes 130.
            images = self._images.index_select(0, self._order[positions])
        images = self._augmentation.apply(images, self._draws[positions], self._seen)
        return self._normalize(images), self._ordered_labels[positions]

    def count(self, iteration: int) -> int:
        """Images of the whole batch after `iteration` iterations, over all ranks."""
        start, stop = self._whole(iteration % self.per_epoch)
        return stop - start

    def close(self) -> None:
        """End the processes that decode, if there are any; then no more batches can be had of streamed images."""
        if isinstance(self._images, Feed):
            self._images.close()

    def _whole(self, step: int) -> tuple[int, int]:
        start = step * self._batch_size
        return start, min(start + self._batch_size, len(self._labels))

    def _part(self, step: int) -> slice:
        """This rank's positions in the order of the epoch."""
        return split(*self._whole(step), self._rank, self._world_size)

    def _ordered(self, epoch: int) -> Tensor:
        """int64 [N]: the images in the order of an epoch."""
        return torch.randperm(len(self._labels), generator=generator("order", *self.stream, epoch))

    def _begin(self, epoch: int) -> None:
        self._epoch = epoch
        self._order = self._ordered(epoch).to(self._labels.device)
        self._ordered_labels = self._labels.index_select(0, self._order)
        draws = self._augmentation.draw(
            len(self._labels), generator("augment", *self.stream, epoch), self._stored, self._seen
        )
        self._draws = draws.to(self._labels.device)

    def _fed(self, feed: Feed, iteration: int, count: int) -> Tensor:
        if iteration != self._expected:
            feed.begin(self._from(iteration))
        self._expected = iteration + 1
        return feed.take(count)

    def _from(self, iteration: int) -> Iterator[list[int]]:
        """This rank's images of `iteration` and of all that follow in the run."""
        epoch, order = -1, self._order
        for following in range(iteration, max(self._iterations, iteration + 1)):
            if following // self.per_epoch != epoch:
                epoch = following // self.per_epoch
                order = self._ordered(epoch)
            yield order[self._part(following % self.per_epoch)].tolist()


class TestBatches:
    """The test images in their order, as batches of (float32 [b, C, H, W], int64 [b]); to be iterated again and again.

    Rank r of n has the r-th part of `torch.tensor_split` of all test images.
    """

    __test__ = False  # pytest would take it for a test

    def __init__(
        self,
        images: Images,
        normalize: Normalization,
        device: torch.device,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Moves this rank's test images to `device` if they are in memory."""
        part = split(0, len(images.test_y), rank, world_size)
        self._labels = images.test_y[part].to(device)  # int64 [N]
        self._seen = images.size
        self._normalize = normalize
        self._batch_size = batch_size
        self._images: Tensor | Feed  # uint8 [N, C, H, W]
        if isinstance(images.test_x, Streamed):
            self._images = Feed(images.test_x[part], device, batch_size)
        else:
            self._images = images.test_x[part].to(device)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Raises DataError about a streamed image that cannot be read."""
        starts = range(0, len(self._labels), self._batch_size)
        batches = [slice(start, min(start + self._batch_size, len(self._labels))) for start in starts]
        if isinstance(self._images, Feed):
            self._images.begin(list(range(batch.start, batch.stop)) for batch in batches)
        for batch in batches:
            if isinstance(self._images, Feed):
                images = self._images.take(batch.stop - batch.start)
            else:
                images = self._images[batch]
            yield self._normalize(centred(images, self._seen)), self._labels[batch]

    def close(self) -> None:
        """End the processes that decode, if there are any; then streamed images cannot be iterated."""
        if isinstance(self._images, Feed):
            self._images.close()


def split(start: int, stop: int, part: int, parts: int) -> slice:
    """The `part`-th of `parts` runs of the positions from `start` to `stop`, as `torch.tensor_split` divides them."""
    each, larger = divmod(stop - start, parts)
    begin = start + part * each + min(part, larger)
    return slice(begin, begin + each + (part < larger))
