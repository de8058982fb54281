"""Pixels in, masks out: sizes and places, against the rules written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image

from pipeline.proposals.maskformer.preprocessing import prepare, without_padding

CPU = torch.device("cpu")


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_pixels_are_resized_normalised_and_then_padded_with_zeros():
    images = [noise(50, 70), noise(50, 70, seed=1)]
    pixels, size = prepare(images, 100, 400, CPU)
    assert size == (100, 140)
    assert pixels.shape == (2, 3, 128, 160)
    for image, found in zip(images, pixels, strict=True):
        scaled = np.asarray(Image.fromarray(image).resize((140, 100), Image.Resampling.BILINEAR), np.float64)
        expected = np.zeros((128, 160, 3))
        expected[:100, :140] = (scaled - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
        np.testing.assert_allclose(found.numpy(), expected.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("image", "scaled", "padded"),
    [
        ((5, 7), (64, 90), (64, 96)),
        ((1, 1), (64, 64), (64, 64)),
        ((1, 5000), (1, 128), (32, 128)),
        ((5000, 1), (128, 1), (128, 32)),
        ((64, 96), (64, 96), (64, 96)),
    ],
)
def test_sizes(image, scaled, padded):
    pixels, size = prepare([noise(*image)], 64, 128, CPU)
    assert size == scaled
    assert pixels.shape[2:] == padded
    assert pixels.dtype == torch.float32
    assert pixels.isfinite().all()


def test_a_view_with_negative_strides():
    image = noise(40, 30)
    pixels, _ = prepare([image[:, ::-1]], 64, 128, CPU)
    torch.testing.assert_close(pixels, prepare([np.ascontiguousarray(image[:, ::-1])], 64, 128, CPU)[0])


def test_masks_of_whole_pixels_are_cut():
    masks = torch.randn(2, 3, 16, 24)
    assert torch.equal(without_padding(masks, (64, 96), (60, 92)), masks[..., :15, :23])
    assert torch.equal(without_padding(masks, (64, 96), (64, 96)), masks)


@pytest.mark.parametrize("size", [(61, 90), (63, 65), (62, 95), (34, 93)])
def test_masks_stay_where_they_are_in_the_image(size):
    """A mask whose logits grow linearly over the image does so after the padding is gone, too."""
    rows, columns = torch.meshgrid(torch.arange(16) * 4 + 2.0, torch.arange(24) * 4 + 2.0, indexing="ij")
    masks = without_padding((2 * rows - 3 * columns)[None, None], (64, 96), size)
    whole = F.interpolate(masks, size, mode="bilinear")[0, 0]
    rows, columns = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    inner = slice(6, -6)  # nearer to the border, bilinear sampling of the outermost pixels of a mask repeats it
    torch.testing.assert_close(whole[inner, inner], (2 * rows - 3 * columns)[inner, inner], atol=1e-3, rtol=0)


def test_an_image_of_less_than_a_pixel_of_the_masks():
    masks = torch.randn(1, 3, 8, 32)
    found = without_padding(masks, (32, 128), (1, 128))
    assert found.shape == (1, 3, 1, 32)
    # Its only row lies at 0.5 of 4 pixels, above the centre of the first row of the masks, which goes on unchanged.
    torch.testing.assert_close(found, masks[..., :1, :])
