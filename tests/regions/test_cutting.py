"""masked_regions against a pixel-by-pixel reference and the facts of the paper."""

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.masks.boxes import expand_box, expand_boxes
from pipeline.regions import masked_regions, tight_boxes
from pipeline.regions.clip_input import ClipInput

MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
STD = np.array([0.26862954, 0.26130258, 0.27577711])


def reference_region(image, mask, size, fill, expand):
    """The steps of OVSeg's region preparation, in plain numpy up to the resize."""
    inside = mask > 0.5
    ys, xs = np.nonzero(inside)
    x0, y0, x1, y1 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    centre_x, centre_y, w, h = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) * expand, (y1 - y0) * expand
    x0, x1 = max(int(centre_x - w / 2), 0), min(int(centre_x + w / 2), image.shape[2])
    y0, y1 = max(int(centre_y - h / 2), 0), min(int(centre_y + h / 2), image.shape[1])
    blank = {"mean": 255 * MEAN[:, None, None], "zero": 0, "none": image}[fill]
    region = np.where(inside, image, blank)[:, y0:y1, x0:x1]
    region = (region - 255 * MEAN[:, None, None]) / (255 * STD[:, None, None])
    tensor = torch.from_numpy(region).float()[None]
    return F.interpolate(tensor, (size, size), mode="bicubic")[0], (x0, y0, x1, y1)


@pytest.mark.parametrize("fill", ["mean", "zero", "none"])
@pytest.mark.parametrize("expand", [1.0, 1.3])
def test_equals_the_reference(fill, expand):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 41, 57), dtype=np.uint8)
    masks = np.zeros((3, 41, 57), np.float32)
    masks[0, 5:20, 7:30] = rng.random((15, 23))
    masks[1, 40, 56] = 1
    masks[2] = rng.random((41, 57))
    pixels, region_masks, valid, boxes = masked_regions(
        torch.from_numpy(image), torch.from_numpy(masks), size=32, fill=fill, expand=expand
    )
    assert valid.tolist() == [True, True, True]
    assert region_masks.shape == (3, 1, 32, 32)
    for k in range(3):
        expected, box = reference_region(image, masks[k], 32, fill, expand)
        torch.testing.assert_close(pixels[k], expected, atol=2e-5, rtol=0)
        assert tuple(boxes[k].tolist()) == box


def test_mean_fill_is_exactly_zero_and_the_rest_is_the_image():
    image = torch.full((3, 8, 8), 200, dtype=torch.uint8)
    mask = torch.zeros(1, 8, 8)
    mask[0, :, :4] = 1
    mask[0, 0, 7] = 1  # keeps the box at full width
    pixels, region_masks, _, _ = masked_regions(image, mask, size=8)
    outside = ~region_masks[0, 0]
    outside[:, 2:5] = False  # bicubic rings two pixels over an edge
    outside[0:3, 5:] = False
    assert (pixels[0][:, outside] == 0).all()
    expected = (200 / 255 - MEAN) / STD
    np.testing.assert_allclose(pixels[0][:, 4, 0], expected, atol=1e-5)


def test_no_masks_and_empty_masks_give_empty_tensors():
    image = torch.zeros(3, 10, 12, dtype=torch.uint8)
    for k in (0, 2):
        pixels, masks, valid, boxes = masked_regions(image, torch.zeros(k, 10, 12), size=16)
        assert (pixels.shape, masks.shape, boxes.shape) == ((0, 3, 16, 16), (0, 1, 16, 16), (0, 4))
        assert valid.tolist() == [False] * k


def test_one_valid_mask_among_empty_ones():
    masks = torch.zeros(3, 10, 12)
    masks[1, 3, 4] = 0.51
    masks[2, 3, 4] = 0.5  # not above the threshold
    pixels, region_masks, valid, boxes = masked_regions(torch.zeros(3, 10, 12, dtype=torch.uint8), masks)
    assert pixels.shape == (1, 3, 224, 224)
    assert region_masks.all()
    assert valid.tolist() == [False, True, False]
    assert boxes.tolist() == [[4, 3, 5, 4]]


def test_the_colour_key_of_the_released_data_is_nearly_but_not_exactly_blank():
    key = torch.tensor([124, 116, 103], dtype=torch.uint8).view(3, 1, 1).expand(3, 4, 4)
    pixels, *_ = masked_regions(key, torch.ones(1, 4, 4), size=4)
    np.testing.assert_allclose(pixels[0, :, 0, 0], [0.0179, -0.0112, -0.0156], atol=5e-4)


@pytest.mark.parametrize(
    ("image", "masks", "message"),
    [
        (torch.zeros(3, 4, 4), torch.zeros(1, 4, 4), "uint8"),
        (torch.zeros(4, 4, 3, dtype=torch.uint8), torch.zeros(1, 4, 4), r"\[3,H,W\]"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), torch.zeros(1, 4, 5), r"\[K,4,4\]"),
    ],
)
def test_wrong_shapes_are_named(image, masks, message):
    with pytest.raises(ValueError, match=message):
        masked_regions(image, masks)


@given(height=st.integers(1, 80), width=st.integers(1, 80), size=st.integers(1, 60), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_the_resize_is_torch_s_bicubic_in_double_precision(height, width, size, seed):
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    pixels, region_mask, *_ = masked_regions(
        image,
        torch.ones(1, height, width),
        clip_input=ClipInput(size, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255)),
    )
    expected = F.interpolate(image[None].double(), (size, size), mode="bicubic", align_corners=False)
    torch.testing.assert_close(pixels.double(), expected, atol=2e-3, rtol=0)
    assert region_mask.all()


def test_without_a_clip_the_colours_are_those_of_openai_s():
    assert (ClipInput().mean, ClipInput().std) == (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)


def test_two_different_sizes_are_refused():
    with pytest.raises(ValueError, match="size is 100 and that of clip_input 64"):
        masked_regions(torch.zeros(3, 4, 4, dtype=torch.uint8), torch.ones(1, 4, 4), size=100, clip_input=ClipInput(64))


@pytest.mark.parametrize("count", [0, 1])
def test_an_unknown_fill_is_named(count):
    with pytest.raises(ValueError, match=r"fill must be one of \('mean', 'zero', 'none'\), is 'grey'"):
        masked_regions(torch.zeros(3, 4, 4, dtype=torch.uint8), torch.ones(count, 4, 4), fill="grey")


@given(data=st.data(), height=st.integers(1, 20), width=st.integers(1, 20))
@settings(deadline=None, max_examples=50)
def test_tight_boxes_are_the_extremes_of_the_pixels(data, height, width):
    pixels = data.draw(
        st.sets(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)), min_size=1, max_size=8)
    )
    mask = torch.zeros(1, height, width, dtype=torch.bool)
    for y, x in pixels:
        mask[0, y, x] = True
    ys, xs = [y for y, _ in pixels], [x for _, x in pixels]
    assert tight_boxes(mask).tolist() == [[min(xs), min(ys), max(xs) + 1, max(ys) + 1]]


@given(x0=st.integers(0, 99), y0=st.integers(0, 99), w=st.integers(1, 50), h=st.integers(1, 50), factor=st.floats(1, 4))
def test_expanded_boxes_contain_the_box_and_stay_inside(x0, y0, w, h, factor):
    width, height = max(x0 + w, 120), max(y0 + h, 110)
    box = (x0, y0, x0 + w, y0 + h)
    bx0, by0, bx1, by1 = expand_box(box, factor, width, height)
    assert 0 <= bx0 <= x0
    assert 0 <= by0 <= y0
    assert x0 + w <= bx1 <= width
    assert y0 + h <= by1 <= height
    assert expand_box(box, 1.0, width, height) == box
    assert expand_boxes(np.array([box, box]), factor, width, height).tolist() == [[bx0, by0, bx1, by1]] * 2
