"""Augmentation of whole batches does to each image what torchvision does to it alone."""

import pytest
import torch
import torchvision.transforms.v2.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.lottery.augmentation import Augmentation


def pictures(count: int, channels: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(1, 256, (count, channels, height, width), generator=torch.Generator().manual_seed(0)).byte()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 5),
    st.booleans(),
    st.data(),
)
def test_a_batch_is_augmented_as_each_of_its_images(
    count: int, channels: int, height: int, width: int, crop: int, flip: bool, data: st.DataObject
) -> None:
    images = pictures(count, channels, height, width)
    augmentation = Augmentation(flip=flip, crop=crop)
    seed = data.draw(st.integers(0, 10))
    draws = augmentation.draw(count, torch.Generator().manual_seed(seed))
    expected = []
    for number, image in enumerate(images):
        if draws.flip is not None and draws.flip[number]:
            image = reference.horizontal_flip(image)
        if draws.corner is not None:
            top, left = draws.corner[number].tolist()
            image = reference.crop(reference.pad(image, [crop], fill=0), top, left, height, width)
        expected.append(image)
    assert torch.equal(augmentation.apply(images, draws), torch.stack(expected))


def test_what_surrounds_a_cropped_image_is_zero_and_the_rest_is_moved() -> None:
    images = pictures(500, 1, 8, 8)
    augmentation = Augmentation(crop=4)
    cropped = augmentation.apply(images, augmentation.draw(500, torch.Generator().manual_seed(0)))
    zeros = (cropped == 0).sum((1, 2, 3))
    assert cropped.dtype == torch.uint8
    assert zeros.max() == 64 - 16, "moved by four pixels in both directions, a quarter of 8x8 is left"
    assert zeros.min() == 0


def test_draws_are_uniform_over_corners_and_mirror_every_other_image() -> None:
    draws = Augmentation(flip=True, crop=2).draw(20_000, torch.Generator().manual_seed(0))
    assert draws.flip is not None and draws.corner is not None
    assert draws.flip.float().mean() == pytest.approx(0.5, abs=0.02)
    counts = torch.bincount(draws.corner[:, 0] * 5 + draws.corner[:, 1], minlength=25)
    assert (counts / 20_000 - 1 / 25).abs().max() < 0.01


def test_an_option_more_changes_nothing_about_the_draws_of_the_other() -> None:
    def seeded() -> torch.Generator:
        return torch.Generator().manual_seed(3)

    both = Augmentation(flip=True, crop=4).draw(100, seeded())
    flips, crops = Augmentation(flip=True).draw(100, seeded()), Augmentation(crop=4).draw(100, seeded())
    assert flips.flip is not None and both.flip is not None and torch.equal(flips.flip, both.flip)
    assert crops.corner is not None and both.corner is not None and torch.equal(crops.corner, both.corner)
    assert flips.corner is None and crops.flip is None
