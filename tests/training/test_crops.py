"""What crosses processes is small, and is cut into what a training step took when it was cut one by one."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.regions.bulk import cut_in_bulk
from pipeline.regions.clip_input import ClipInput
from pipeline.training.augmentation import training_window
from pipeline.training.config import DataConfig
from pipeline.training.crops import Crops, cut_batches
from tests.training.one_by_one import cut, region_by_itself

CPU = torch.device("cpu")
SIZE = 12
INPUT = ClipInput(SIZE)
FILLS = ["mean", "zero", "none"]


def crop(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng((height, width, seed))
    mask = rng.random((height, width)) < 0.3
    mask[rng.integers(height), rng.integers(width)] = True
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), mask


def tensors(image: np.ndarray, mask: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(mask)


def tensor_bytes(crops: Crops) -> int:
    windows, cut_already = crops.windows, crops.cut_already or ()
    packed = () if windows is None else (*windows.images, windows.masks.bits)
    return sum(tensor.nbytes for tensor in (*packed, *cut_already))


sides = st.integers(1, 60)


@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=6), st.sampled_from(FILLS))
@settings(deadline=None)
def test_crops_of_any_sizes_keep_their_order_and_their_bits(shapes, fill):
    """Those above 24 × 24 pixels are cut when they are packed."""
    made = [crop(*shape, number) for number, shape in enumerate(shapes)]
    images, masks = zip(*made, strict=True)
    pixels, region_masks = pickle.loads(pickle.dumps(Crops.of(images, masks, INPUT, fill))).cut(CPU)
    expected = [cut(*tensors(*one), fill, INPUT) for one in made]
    assert torch.equal(pixels, torch.stack([pixels for pixels, _ in expected]))
    assert torch.equal(region_masks, torch.stack([mask for _, mask in expected]))


@given(
    st.tuples(sides, sides),
    st.sampled_from(FILLS),
    st.floats(1, 3),
    st.sampled_from([1.0, 0.9, 0.3]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.tuples(*[st.integers(0, 2**31)] * 3),
)
@settings(deadline=None, max_examples=300)
def test_regions_are_those_made_one_by_one(shape, fill, expand, min_scale, unmasked_share, seed):
    config = DataConfig(fill=fill, expand=expand, min_scale=min_scale, unmasked_share=unmasked_share)
    image, mask = crop(*shape)
    (x0, y0, x1, y1), unmasked = training_window(mask, config, seed=seed)
    shown = np.ones((y1 - y0, x1 - x0), bool) if unmasked else mask[y0:y1, x0:x1]
    pixels, region_mask = Crops.of([image[y0:y1, x0:x1]], [shown], INPUT, fill).cut(CPU)
    expected = region_by_itself(*tensors(image, mask), config, seed, INPUT)
    assert torch.equal(pixels[0], expected[0])
    assert torch.equal(region_mask[0], expected[1])
    assert unmasked == expected[2]


@pytest.mark.parametrize("side", [1, 7, 100, 448, 449, 640])
def test_no_batch_is_larger_than_one_of_clip_inputs(side):
    clip_input, count = ClipInput(224), 3
    images, masks = zip(*[crop(side, side, number) for number in range(count)], strict=True)
    crops = Crops.of(images, masks, clip_input, "mean")
    pixels, region_masks = crops.cut(CPU)
    assert tensor_bytes(crops) <= pixels.nbytes + region_masks.nbytes
    if side <= 100:  # an object of COCO
        assert tensor_bytes(crops) * 10 < pixels.nbytes
    assert (crops.windows is None) == (side > 448)


@pytest.mark.parametrize("fill", FILLS)
def test_a_device_cuts_the_same_regions(fill):
    """The operations that a GPU does, done here."""
    images, masks = zip(*[crop(5 + number, 30 - number, number) for number in range(20)], strict=True)
    crops = Crops.of(images, masks, INPUT, fill)
    expected, expected_masks = crops.cut(CPU)
    pixels, region_masks = cut_in_bulk(crops.windows, INPUT, fill)
    torch.testing.assert_close(pixels, expected, atol=2e-5, rtol=0)
    assert torch.equal(region_masks, expected_masks)


def test_batches_keep_what_belongs_to_their_regions():
    images, masks = zip(*[crop(9, 11, number) for number in range(4)], strict=True)
    rest = {"nouns": torch.arange(4), "unmasked": torch.zeros(4, dtype=torch.bool), "rows": torch.arange(4) + 7}
    crops = Crops.of(images, masks, INPUT, "zero")
    [first, second] = cut_batches([{"crops": crops, **rest}, {"crops": replace(crops, fill="none"), **rest}], CPU)
    assert first.keys() == {"pixels", "masks", *rest}
    assert all(torch.equal(first[name], rest[name]) for name in rest)
    for batch, fill in ((first, "zero"), (second, "none")):
        assert torch.equal(batch["pixels"][2], cut(*tensors(images[2], masks[2]), fill, INPUT)[0])


def test_batches_come_one_by_one():
    """A batch that is not asked for is not cut, and what reading raises comes where the batch would."""
    image, mask = crop(9, 11)

    def batches():
        yield {"crops": Crops.of([image], [mask], INPUT, "mean")}
        raise OSError("gone")

    made = cut_batches(batches(), CPU)
    assert next(made)["pixels"].shape == (1, 3, SIZE, SIZE)
    with pytest.raises(OSError, match="gone"):
        next(made)
