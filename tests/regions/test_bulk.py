"""Windows cut together, against torch's bicubic in double precision and against OpenCV one by one."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline.regions.bulk
from pipeline.masks.boxes import expand_box
from pipeline.masks.masks import Masks
from pipeline.regions import Windows, masked_regions
from pipeline.regions.bulk import cut_in_bulk
from pipeline.regions.clip_input import ClipInput
from pipeline.regions.cutters import DeviceCutter, HostCutter, ImageRegions, Part
from pipeline.regions.windows import DenseMasks

FILLS = st.sampled_from(["mean", "zero", "none"])
FACTORS = st.sampled_from([1.0, 1.8])


@st.composite
def images_and_masks(draw, most: int = 90):
    """Images of noise, and masks of rectangles with holes: of one pixel, one row, the whole frame, of nothing."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    made = []
    for _ in range(draw(st.integers(1, 3))):
        height, width = draw(st.integers(1, most)), draw(st.integers(1, most))
        masks = np.zeros((draw(st.integers(0, 4)), height, width), np.uint8)
        for mask in masks:
            y, x = rng.integers(height), rng.integers(width)
            h, w = draw(st.sampled_from([(1, 1), (1, width), (height, 1), (height, width), (height // 2, width // 2)]))
            mask[y : y + h, x : x + w] = 1
            mask &= rng.random(mask.shape) < draw(st.sampled_from([0.3, 0.9, 1.0]))
        made.append((rng.integers(0, 256, (height, width, 3), dtype=np.uint8), masks))
    return made


def exact(image, mask, window, clip_input, fill):
    """The steps of the paper in double precision."""
    x0, y0, x1, y1 = window
    mean, std = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) * 255 for v in (clip_input.mean, clip_input.std))
    inside = torch.from_numpy(mask[y0:y1, x0:x1]).bool()
    crop = (torch.from_numpy(image[y0:y1, x0:x1]).permute(2, 0, 1).double() - mean) / std
    if fill != "none":
        crop = torch.where(inside, crop, torch.zeros(3, 1, 1).double() if fill == "mean" else -mean / std)
    size = (clip_input.size, clip_input.size)
    nearest = F.interpolate(inside[None, None].to(torch.uint8), size, mode="nearest")[0].bool()
    return F.interpolate(crop[None], size, mode="bicubic")[0], nearest


def parts_of(regions):
    return [Part(one, 0, len(one)) for one in regions if len(one)]


@given(made=images_and_masks(), size=st.integers(1, 40), fill=FILLS, expand=FACTORS)
@settings(deadline=None, max_examples=150)
def test_regions_from_run_length_codes_are_those_of_the_paper(made, size, fill, expand):
    clip_input = ClipInput(size)
    regions = [ImageRegions(image, Masks.encode(masks), expand) for image, masks in made]
    for one, (_, masks) in zip(regions, made, strict=True):
        assert one.valid_K.tolist() == masks.any((1, 2)).tolist()
    if not (parts := parts_of(regions)):
        return
    cut = DeviceCutter(clip_input, fill, torch.device("cpu"), with_masks=True).cut(parts)
    row = 0
    for one, (image, masks) in zip(regions, made, strict=True):
        for mask, window in zip(masks[one.valid_K], map(tuple, one.windows_V4.tolist()), strict=True):
            ys, xs = np.nonzero(mask)
            tight = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
            assert window == expand_box(tight, expand, *mask.shape[::-1])
            pixels, inside = exact(image, mask, window, clip_input, fill)
            torch.testing.assert_close(cut.pixels[row].double(), pixels, atol=1e-5, rtol=0)
            assert torch.equal(cut.masks[row], inside)
            row += 1
    assert row == len(cut.pixels)


@given(made=images_and_masks(), size=st.integers(1, 40), fill=FILLS, expand=FACTORS)
@settings(deadline=None, max_examples=50)
def test_on_the_host_every_region_is_that_of_masked_regions_to_the_bit(made, size, fill, expand):
    clip_input = ClipInput(size)
    parts = parts_of([ImageRegions(image, Masks.encode(masks), expand) for image, masks in made])
    count = sum(end for _, _, end in parts)
    cut = HostCutter(clip_input, fill, max(count, 1), with_masks=True).cut(parts)
    expected = [
        masked_regions(
            torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(masks), clip_input=clip_input,
            fill=fill, expand=expand,
        )
        for image, masks in made
    ]  # fmt: skip
    assert torch.equal(cut.pixels, torch.cat([pixels for pixels, *_ in expected]))
    assert torch.equal(cut.masks, torch.cat([masks for _, masks, *_ in expected]))


@given(made=images_and_masks(), size=st.integers(1, 20), fill=FILLS, data=st.data())
@settings(deadline=None, max_examples=100)
def test_windows_of_crops_may_lie_anywhere(made, size, fill, data):
    clip_input = ClipInput(size)
    crops = [(image, masks[0] > 0) for image, masks in made if len(masks)]
    if not crops:
        return
    windows = []
    for image, _ in crops:
        x0, y0 = (data.draw(st.integers(0, side - 1)) for side in (image.shape[1], image.shape[0]))
        x1, y1 = data.draw(st.integers(x0 + 1, image.shape[1])), data.draw(st.integers(y0 + 1, image.shape[0]))
        windows.append((x0, y0, x1, y1))
    packed = Windows.of_crops(*map(list, zip(*crops, strict=True)), windows)
    pixels, inside = cut_in_bulk(packed, clip_input, fill)
    for row, ((image, mask), window) in enumerate(zip(crops, windows, strict=True)):
        expected, expected_inside = exact(image, mask, window, clip_input, fill)
        torch.testing.assert_close(pixels[row].double(), expected, atol=1e-5, rtol=0)
        assert torch.equal(inside[row], expected_inside)


@pytest.mark.parametrize("shape", [(2000, 7), (7, 2000), (700, 900)], ids=str)
def test_of_windows_much_larger_than_the_input_what_is_looked_at_is_enough(shape):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    masks = (rng.random((2, *shape)) < [[[0.5]], [[0.98]]]).astype(np.uint8)
    regions = ImageRegions(image, Masks.encode(masks), 1.0)
    clip_input = ClipInput(16)
    cut = DeviceCutter(clip_input, "mean", torch.device("cpu"), with_masks=True).cut([Part(regions, 0, 2)])
    for row, window in enumerate(map(tuple, regions.windows_V4.tolist())):
        pixels, inside = exact(image, masks[row], window, clip_input, "mean")
        torch.testing.assert_close(cut.pixels[row].double(), pixels, atol=1e-5, rtol=0)
        assert torch.equal(cut.masks[row], inside)


def test_in_portions_the_result_is_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 50, 3), dtype=np.uint8)
    regions = ImageRegions(image, Masks.encode(rng.integers(0, 2, (9, 60, 50), dtype=np.uint8)), 1.0)
    cutter = DeviceCutter(ClipInput(16), "mean", torch.device("cpu"), with_masks=True)
    whole = cutter.cut([Part(regions, 0, 9)])
    monkeypatch.setattr(pipeline.regions.bulk, "_ROW_PIXELS", 2000)
    parts = cutter.cut([Part(regions, 0, 4), Part(regions, 4, 9)])
    assert torch.equal(whole.pixels, parts.pixels)
    assert torch.equal(whole.masks, parts.masks)


def test_mean_fill_is_exactly_zero():
    image = np.full((30, 40, 3), 200, np.uint8)
    mask = np.zeros((1, 30, 40), np.uint8)
    mask[0, :, :20] = mask[0, 0, 39] = 1  # the box is the whole frame
    regions = ImageRegions(image, Masks.encode(mask), 1.0)
    cut = DeviceCutter(ClipInput(20), "mean", torch.device("cpu"), with_masks=True).cut([Part(regions, 0, 1)])
    assert (cut.pixels[0, :, 5:, 12:] == 0).all()


@pytest.mark.parametrize("size", [1, 16])
def test_no_windows_give_empty_tensors(size):
    nothing = Windows(
        (torch.zeros((12, 3), dtype=torch.uint8),),
        DenseMasks(torch.zeros(0, dtype=torch.bool)),
        torch.zeros((0, 7), dtype=torch.int64),
        (),
        thinned=False,
    )
    pixels, masks = cut_in_bulk(nothing, ClipInput(size), "mean")
    assert (pixels.shape, pixels.dtype) == ((0, 3, size, size), torch.float32)
    assert (masks.shape, masks.dtype) == ((0, 1, size, size), torch.bool)
