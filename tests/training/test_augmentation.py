"""Mask and pixels of a training region go through the same random window."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import RandomResizedCrop

from pipeline.regions import masked_regions
from pipeline.regions.clip_input import OPENAI_MEAN, OPENAI_STD, ClipInput
from pipeline.training.augmentation import training_window
from pipeline.training.crops import Crops
from pipeline.training.samples import DataConfig

SIDE = 32
# With this the pixels of a region are the bytes of the image.
RAW = ClipInput(SIDE, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))


def region(image, mask, row: int = 0, clip_input: ClipInput = ClipInput(SIDE), **options):  # noqa: B008
    """Pixels, mask, and whether all of it is shown, as a training step gets them."""
    config = DataConfig(**{name: value for name, value in options.items() if name != "seed"})
    (x0, y0, x1, y1), unmasked = training_window(mask.numpy(), config, seed=options.get("seed", (0, 0, row)))
    shown = torch.ones_like(mask) if unmasked else mask
    window = image.permute(1, 2, 0).numpy()[y0:y1, x0:x1], shown.numpy()[y0:y1, x0:x1]
    [pixels], [region_mask] = Crops.of(*([part] for part in window), clip_input, config.fill).cut(torch.device("cpu"))
    return pixels, region_mask, unmasked


def telling_image(mask: torch.Tensor) -> torch.Tensor:
    """An image whose red is the column, green the row, and blue 255 inside the mask."""
    height, width = mask.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y, mask * 255]).to(torch.uint8)


def window_of(pixels_3SS: torch.Tensor) -> tuple[int, int, int, int]:
    """The window that a region of a `telling_image` shows, read off its colours.

    Output index i shows position start + (i + ½)·length/S − ½ of a line of pixels: a straight line, but for the cubic's
    waves of a tenth of a pixel and for the window's edges.
    """
    indices = np.arange(6, SIDE - 6)
    window = []
    for line_S in (pixels_3SS[0, 0], pixels_3SS[1, :, 0]):
        step, first = np.polyfit(indices + 0.5, line_S.double().numpy()[indices], 1)
        window.append((round(first + 0.5), round(first + 0.5 + step * SIDE)))
    (x0, x1), (y0, y1) = window
    return x0, y0, x1, y1


def expected_region(image, mask, window, fill):
    """The region by torch in double precision, and the nearest mask by its formula."""
    x0, y0, x1, y1 = window
    mean, std = (torch.tensor(value, dtype=torch.float64).view(3, 1, 1) * 255 for value in (OPENAI_MEAN, OPENAI_STD))
    inside = mask[y0:y1, x0:x1]
    crop = (image[:, y0:y1, x0:x1].double() - mean) / std
    blank = {"mean": torch.zeros(3, 1, 1, dtype=torch.float64), "zero": -mean / std, "none": crop}[fill]
    pixels = F.interpolate(torch.where(inside, crop, blank)[None], (SIDE, SIDE), mode="bicubic")[0]
    rows, columns = (torch.arange(SIDE) * length // SIDE for length in inside.shape)
    return pixels, inside[rows][:, columns]


@st.composite
def masks(draw, least: int = 12, most: int = 90):
    """Masks of a few rectangles in a larger frame."""
    height, width = draw(st.integers(least, most)), draw(st.integers(least, most))
    mask = torch.zeros(height, width, dtype=torch.bool)
    for _ in range(draw(st.integers(1, 3))):
        y, x = draw(st.integers(0, height - least)), draw(st.integers(0, width - least))
        h, w = draw(st.integers(least, height - y)), draw(st.integers(least, width - x))
        mask[y : y + h, x : x + w] = True
    return mask


@given(mask=masks(), row=st.integers(0, 10**6), fill=st.sampled_from(["mean", "zero", "none"]), expand=st.floats(1, 2))
@settings(deadline=None, max_examples=150)
def test_pixels_and_mask_show_the_same_window(mask, row, fill, expand):
    image = telling_image(mask)
    told, *_ = region(image, mask, row, fill="none", expand=expand, clip_input=RAW)
    window = window_of(told)
    pixels, region_mask, unmasked = region(image, mask, row, fill=fill, expand=expand)
    expected, expected_mask = expected_region(image, mask, window, fill)
    torch.testing.assert_close(pixels.double(), expected, atol=1e-4, rtol=0)
    differing = region_mask[0] != expected_mask
    # torch computes floor(i·length/S) in float32, which can fall short of a whole number.
    exact = [torch.arange(SIDE) * (end - start) % SIDE == 0 for start, end in (window[1::2], window[::2])]
    assert (~differing | exact[0][:, None] | exact[1]).all()
    assert (pixels.shape, pixels.dtype) == ((3, SIDE, SIDE), torch.float32)
    assert (region_mask.shape, region_mask.dtype) == ((1, SIDE, SIDE), torch.bool)
    assert not unmasked


@given(mask=masks(), row=st.integers(0, 10**6))
@settings(deadline=None, max_examples=100)
def test_where_the_mask_is_false_the_mean_is_exactly_zero(mask, row):
    """And where it is true the image shows; up to the cubic's reach of two pixels around an edge of the mask."""
    pixels, region_mask, _ = region(torch.full((3, *mask.shape), 255, dtype=torch.uint8), mask, row)
    told, *_ = region(telling_image(mask), mask, row, fill="none", clip_input=RAW)
    x0, y0, x1, y1 = window_of(told)
    reach = [math.ceil(2 + (end - start) / SIDE) for start, end in ((x0, x1), (y0, y1))]
    near = F.pad(mask[None, None, y0:y1, x0:x1].float(), (reach[0],) * 2 + (reach[1],) * 2, mode="replicate")
    kernel = tuple(2 * length + 1 for length in reversed(reach))
    rows, columns = (torch.arange(SIDE) * length // SIDE for length in (y1 - y0, x1 - x0))
    all_inside, none_inside = (
        F.max_pool2d(values, kernel, stride=1)[0, 0][rows][:, columns] == 0 for values in (1 - near, near)
    )
    assert (pixels[:, none_inside] == 0).all()
    assert not region_mask[0][none_inside].any()
    assert region_mask[0][all_inside].all()
    white = ((1 - torch.tensor(OPENAI_MEAN)) / torch.tensor(OPENAI_STD))[:, None]
    assert ((pixels[:, all_inside] - white).abs() < 1e-4).all()


@given(mask=masks(), row=st.integers(0, 10**6), expand=st.floats(1, 2), min_scale=st.floats(0.3, 1))
@settings(deadline=None, max_examples=150)
def test_the_window_lies_in_the_box_and_has_its_area_and_aspect(mask, row, expand, min_scale):
    told, *_ = region(telling_image(mask), mask, row, expand=expand, min_scale=min_scale, fill="none", clip_input=RAW)
    x0, y0, x1, y1 = window_of(told)
    ys, xs = np.nonzero(mask.numpy())
    box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    slack = (expand - 1) / 2 * np.array([box[2] - box[0], box[3] - box[1]]) + 1
    assert box[0] - slack[0] <= x0 < x1 <= box[2] + slack[0]
    assert box[1] - slack[1] <= y0 < y1 <= box[3] + slack[1]
    w, h = x1 - x0, y1 - y0
    if expand == 1:
        bw, bh = box[2] - box[0], box[3] - box[1]
        rounding = 1 / w + 1 / h
        fitting = w / h < 4 / 3 * (1 + rounding) and w / h > 3 / 4 * (1 - rounding)
        large = w * h > min_scale * bw * bh * (1 - rounding)
        # Elongated boxes give the central part with the extreme aspect, as in torchvision, or the whole box.
        assert (fitting and (large or w == bw or h == bh)) or (w, h) == (bw, bh)


def test_windows_are_distributed_as_torchvision_s():
    mask = torch.ones(100, 110, dtype=torch.bool)
    crop = RandomResizedCrop(SIDE, scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3))
    torch.manual_seed(0)
    theirs = np.array([crop.get_params(mask[None], crop.scale, crop.ratio) for _ in range(800)])
    told = [region(telling_image(mask), mask, row, min_scale=0.5, fill="none", clip_input=RAW)[0] for row in range(800)]
    x0, y0, x1, y1 = np.array([window_of(pixels) for pixels in told]).T
    ours = np.stack([y0, x0, y1 - y0, x1 - x0], axis=1)
    error = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / 800)
    assert (abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 4 * error).all()
    assert abs(ours.std(axis=0) / theirs.std(axis=0) - 1).max() < 0.15


def test_a_window_that_would_miss_the_mask_gives_way_to_the_whole_box():
    mask = torch.zeros(20, 200, dtype=torch.bool)
    mask[:, :5] = mask[:, -5:] = True  # the central 27 columns, all that fits the aspect, are outside
    for row in range(10):
        told, *_ = region(telling_image(mask), mask, row, fill="none", clip_input=RAW)
        assert window_of(told) == (0, 0, 200, 20)


@given(mask=masks(), expand=st.floats(1, 2), fill=st.sampled_from(["mean", "zero", "none"]))
@settings(deadline=None, max_examples=50)
def test_without_augmentation_the_region_is_that_of_mining(mask, expand, fill):
    image = torch.randint(0, 256, (3, *mask.shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels, region_mask, _ = region(image, mask, min_scale=1.0, expand=expand, fill=fill)
    [expected], [expected_mask], *_ = masked_regions(image, mask[None], size=SIDE, expand=expand, fill=fill)
    assert torch.equal(pixels, expected)
    assert torch.equal(region_mask, expected_mask)


def test_samples_without_mask_show_the_whole_crop_and_come_in_their_share():
    mask = torch.zeros(24, 24, dtype=torch.bool)
    mask[10:14, 10:14] = True
    image, share, count = telling_image(mask), 0.3, 3000
    shown = [region(image, mask, row, unmasked_share=share, clip_input=RAW) for row in range(count)]
    unmasked = [(pixels, mask) for pixels, mask, unmasked in shown if unmasked]
    assert abs(len(unmasked) - share * count) < 5 * math.sqrt(share * (1 - share) * count)
    assert all(mask.all() for _, mask in unmasked)
    corners = np.array([window_of(pixels) for pixels, _ in unmasked])
    assert (corners[:, :2] >= 0).all()
    assert (corners[:, 2:] <= 24).all()
    assert ((corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1]) >= 0.85 * 24 * 24).all()
    assert not any(region(image, mask, row)[2] for row in range(50))
    assert all(region(image, mask, row, unmasked_share=1.0)[2] for row in range(50))


def test_the_same_seed_gives_the_same_region_and_others_another():
    mask = torch.ones(60, 50, dtype=torch.bool)
    image = telling_image(mask)
    torch.manual_seed(1)
    first = region(image, mask, seed=(3, 4, 5), unmasked_share=0.5)
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(1)), "the global generator moved"
    again = region(image, mask, seed=(3, 4, 5), unmasked_share=0.5)
    assert torch.equal(first[0], again[0])
    assert first[2] == again[2]
    others = [(2, 4, 5), (3, 5, 5), (3, 4, 6), (4, 3, 5), (5, 4, 3)]
    masked, *_ = region(image, mask, seed=(3, 4, 5))
    assert not any(torch.equal(region(image, mask, seed=seed)[0], masked) for seed in others)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (5, 1)])
def test_the_smallest_crops(size):
    pixels, mask, _ = region(
        torch.full((3, *size), 9, dtype=torch.uint8), torch.ones(size, dtype=torch.bool), clip_input=RAW
    )
    assert mask.all()
    torch.testing.assert_close(pixels, torch.full_like(pixels, 9.0))
