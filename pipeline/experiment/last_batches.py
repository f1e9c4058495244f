"""The last batch of an epoch, which may be smaller: how workers and groups of batch norm share it."""

from pipeline.experiment.models import Described
from pipeline.experiment.spec_sides import Target
from pipeline.lottery.counting import count_of
from pipeline.recipes.errors import UnfitError


def check_last_batch(entry: Target, model: Described, images: int) -> None:
    """Batch norm needs two images in each group, and two on each worker. Raises UnfitError.

    `images`: training images.
    """
    training, workers = entry.training, entry.resources.workers
    groups = _groups(entry) if _has_groups(entry, model) else 1
    last = images % training.batch_size
    if workers * groups == 1 or not 0 < last < 2 * workers * groups:
        return
    shared = [f"{workers} workers"] * (workers > 1) + [f"{groups} groups of batch norm"] * (groups > 1)
    raise UnfitError(
        f"leaves {count_of(last, 'image')} for the last batch of an epoch, fewer than two for each of "
        f"{' with '.join(shared)}.",
        "training",
        "batch_size",
    )


def regrouped(entry: Target, model: Described, images: int) -> int | None:
    """Groups on each worker, if the last batch is not split as `ceil(images / norm_batch)` chunks would split it.

    It was split so at first, whatever the number of devices. Where it comes out the same, the key stays as it was.
    """
    last = images % entry.training.batch_size
    if not last or not _has_groups(entry, model):
        return None
    groups, norm_batch = _groups(entry), entry.training.norm_batch or entry.training.batch_size
    same = all(_even(part, groups) == _chunks(part, norm_batch) for part in _even(last, entry.resources.workers))
    return None if same else groups


def _has_groups(entry: Target, model: Described) -> bool:
    """Whether the training has batch norm over groups; frozen features use their running statistics."""
    return entry.training.norm_batch is not None and entry.training.frozen is None and model.batch_norm


def _groups(entry: Target) -> int:
    """Groups of a batch on each worker."""
    of_worker = entry.training.batch_size // entry.resources.workers
    return of_worker // (entry.training.norm_batch or of_worker)


def _even(images: int, parts: int) -> list[int]:
    """Sizes as `torch.tensor_split` makes them."""
    each, larger = divmod(images, parts)
    return [each + 1] * larger + [each] * (parts - larger)


def _chunks(images: int, norm_batch: int) -> list[int]:
    """Sizes as `torch.chunk` makes them of so many pieces as hold at most `norm_batch` images each."""
    if not images:
        return []
    size = -(-images // -(-images // norm_batch))
    return [min(size, images - start) for start in range(0, images, size)]
