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


# --- resized crops


def test_a_resized_crop_is_torchvisions_of_each_image_to_one_grey_level() -> None:
    images = torch.nn.functional.interpolate(pictures(12, 3, 9, 12).float(), scale_factor=4).byte()  # 36 x 48
    augmentation = Augmentation(flip=True, resized_crop=True)
    draws = augmentation.draw(12, torch.Generator().manual_seed(1), (36, 48))
    assert draws.flip is not None and draws.box is not None
    for size in ((32, 32), (8, 10)):  # larger and smaller than the boxes
        cropped = augmentation.apply(images, draws, size)
        assert cropped.shape == (12, 3, *size) and cropped.dtype == torch.uint8
        for image, box, flip, seen in zip(images, draws.box.tolist(), draws.flip, cropped, strict=True):
            expected = reference.resized_crop(image, *box, list(size), antialias=True)
            expected = reference.horizontal_flip(expected) if flip else expected
            assert (seen.int() - expected.int()).abs().max() <= 1


def test_boxes_are_within_the_image_and_drawn_by_torchvisions_rule() -> None:
    from torchvision.transforms import RandomResizedCrop

    image = torch.empty(1, 200, 300)
    draws = Augmentation(resized_crop=True).draw(4000, torch.Generator().manual_seed(0), (200, 300))
    assert draws.box is not None
    box = draws.box.double()
    assert (box[:, :2] >= 0).all() and (box[:, 0] + box[:, 2] <= 200).all() and (box[:, 1] + box[:, 3] <= 300).all()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        params = [RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)]
    theirs = torch.tensor(params).double()
    error = 4 * theirs.std(0) * (2 / 4000) ** 0.5
    assert ((box.mean(0) - theirs.mean(0)).abs() < error).all()
    assert (box.std(0) / theirs.std(0) - 1).abs().max() < 0.05
    long = Augmentation(resized_crop=True).draw(2000, torch.Generator().manual_seed(0), (20, 100)).box
    assert long is not None and [0, 36, 20, 27] in long.tolist(), "what never fits is the middle, 4:3"


def test_boxes_leave_flips_as_they_were() -> None:
    seeds = (torch.Generator().manual_seed(seed) for seed in (3, 3, 4))
    first, again, other = (Augmentation(resized_crop=True).draw(50, seed, (9, 9)).box for seed in seeds)
    assert first is not None and again is not None and other is not None
    assert torch.equal(first, again) and not torch.equal(first, other)
    plain, boxed = (
        Augmentation(flip=True, resized_crop=resized).draw(50, torch.Generator().manual_seed(3), (9, 9)).flip
        for resized in (False, True)
    )
    assert plain is not None and boxed is not None and torch.equal(plain, boxed)


def test_without_boxes_the_middle_of_a_stored_image_is_seen_and_nothing_of_no_image() -> None:
    images = pictures(3, 3, 8, 8)
    augmentation = Augmentation(flip=True, crop=2)
    draws = augmentation.draw(3, torch.Generator().manual_seed(0))
    middle = images[:, :, 1:7, 1:7].contiguous()
    assert torch.equal(augmentation.apply(images, draws, (6, 6)), augmentation.apply(middle, draws))
    assert augmentation.apply(images[:0], draws[0:0], (6, 6)).shape == (0, 3, 6, 6)


def test_windows_are_parts_of_the_stored_image_each_place_as_likely_as_the_next() -> None:
    images = pictures(3000, 2, 6, 5)
    augmentation = Augmentation(window=True)
    draws = augmentation.draw(3000, torch.Generator().manual_seed(0), (6, 5), (4, 4))
    seen = augmentation.apply(images, draws, (4, 4))
    assert draws.window is not None
    for image, part, (top, left) in zip(images, seen, draws.window.tolist(), strict=True):
        assert torch.equal(part, image[:, top : top + 4, left : left + 4])
    counts = torch.bincount(2 * draws.window[:, 0] + draws.window[:, 1], minlength=6)
    assert counts.min() > 400 and counts.max() < 600  # 500 each
    with pytest.raises(ValueError, match="window draws places in images whose size is not given"):
        augmentation.draw(1, torch.Generator())


def test_windows_leave_flips_and_crops_as_they_are() -> None:
    plain, more = (
        Augmentation(flip=True, crop=2, window=window).draw(50, torch.Generator().manual_seed(3), (8, 8), (4, 4))
        for window in (False, True)
    )
    assert plain.flip is not None and more.flip is not None and torch.equal(plain.flip, more.flip)
    assert plain.corner is not None and more.corner is not None and torch.equal(plain.corner, more.corner)
