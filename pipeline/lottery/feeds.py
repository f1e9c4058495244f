"""The images of a run: what it trains on, and what it is tested and validated on."""

import torch

from pipeline.lottery.batches import Batches, TestBatches
from pipeline.lottery.data import Images
from pipeline.lottery.evaluation import batch_size
from pipeline.lottery.normalization import Normalization
from pipeline.lottery.parallel import Group
from pipeline.recipes.training import Train


class Feeds:
    """One rank's part of each."""

    def __init__(self, recipe: Train, images: Images, device: torch.device, group: Group) -> None:
        """Raises ValueError where the last batch of an epoch has fewer images than there are workers."""
        configuration = recipe.configuration
        size = configuration.schedule.batch_size
        self.normalize = Normalization(images.mean, images.std, device, configuration.channels_last)
        self.train = Batches(recipe, images, self.normalize, device, group.rank, group.size)
        last = self.train.count(self.train.per_epoch - 1)
        if last < group.size:
            raise ValueError(
                f"The last batch of an epoch has {last} of {size} images, fewer than the {group.size} workers that "
                "share it: choose another batch size, or fewer workers."
            )
        at_once = batch_size(-(-size // group.size), configuration.input, device)
        self.test = TestBatches(images, self.normalize, device, at_once, group.rank, group.size)
        self.validation: TestBatches | None = None
        if images.validating is not None:
            self.validation = TestBatches(images.validating, self.normalize, device, at_once, group.rank, group.size)

    def close(self) -> None:
        """End what decodes images, if anything does."""
        self.train.close()
        self.test.close()
        if self.validation is not None:
            self.validation.close()
