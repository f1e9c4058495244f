"""What a training run is given: the images of a data set, in memory or streamed, with statistics for normalization."""

from dataclasses import dataclass, replace

from torch import Tensor

from pipeline.lottery.data.streamed import Pixels


@dataclass(frozen=True, eq=False)
class Images:
    """Training and test images with labels 0..classes-1. `mean` and `std` are of pixels / 255, per channel."""

    train_x: Pixels  # uint8 [N, C, H, W]
    train_y: Tensor  # int64 [N]
    test_x: Pixels  # uint8 [M, C, H, W]
    test_y: Tensor  # int64 [M]
    mean: Tensor  # float32 [C]
    std: Tensor  # float32 [C]
    classes: int
    seen: tuple[int, int] | None = None
    """Height and width of what models see, where more is stored so that random boxes have room; else None."""
    validation: tuple[Pixels, Tensor] | None = None
    """Pixels uint8 [V, C, H, W] and labels int64 [V] of training images that are not trained on."""

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels and labels that are in memory."""
        parts = (self.train_x, self.train_y, self.test_x, self.test_y, *(self.validation or ()))
        return sum(t.nbytes for t in parts)

    @property
    def validating(self) -> "Images | None":
        """With the validation images in the place of the test images; None where there are none."""
        if self.validation is None:
            return None
        return replace(self, test_x=self.validation[0], test_y=self.validation[1], validation=None)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what models see."""
        return self.seen or (self.train_x.shape[2], self.train_x.shape[3])
