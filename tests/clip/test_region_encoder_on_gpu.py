"""What the encoder does on a GPU, against the CPU; skipped where there is none."""

import numpy as np
import pytest
import torch

from pipeline.clip import RegionEncoder, load_clip
from pipeline.masks.masks import Masks
from pipeline.regions import RegionsConfig, masked_regions
from tests.clip.test_region_encoder import random_images

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("ahead", [True, False])
def test_features_are_those_of_the_cpu(tiny_folder, depth, ahead):
    torch.manual_seed(0)
    on_cpu = load_clip(f"local-dir:{tiny_folder}", mask_prompt_depth=depth)
    on_gpu = load_clip(f"local-dir:{tiny_folder}", mask_prompt_depth=depth, device="cuda")
    if depth:
        with torch.no_grad():
            on_gpu.vision.prompts.copy_(on_cpu.vision.prompts)
    sizes = [(40, 30), (64, 48), (20, 20), (300, 400)] * 5
    images = [
        (image, Masks.encode(masks), number)
        for number, (image, masks) in enumerate(random_images(np.random.default_rng(1), sizes, [5, 0, 9, 33] * 5))
    ]
    found, expected = (
        list(RegionEncoder(clip, RegionsConfig(), 16).encode(images, ahead=ahead)) for clip in (on_gpu, on_cpu)
    )
    for (number, features, valid), (expected_number, expected_features, expected_valid) in zip(
        found, expected, strict=True
    ):
        assert number == expected_number
        assert valid.tolist() == expected_valid.tolist()
        np.testing.assert_allclose(features, expected_features, atol=2e-3)


@pytest.mark.parametrize("fill", ["mean", "zero", "none"])
def test_regions_are_those_of_the_cpu(fill):
    [(image, masks)] = random_images(np.random.default_rng(2), [(200, 150)], [12])
    pixels_3HW, masks_KHW = torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(masks)
    expected = masked_regions(pixels_3HW, masks_KHW, fill=fill, expand=1.3)
    found = masked_regions(pixels_3HW.cuda(), masks_KHW.cuda(), fill=fill, expand=1.3)
    torch.testing.assert_close(found[0].cpu(), expected[0], atol=1e-5, rtol=0)
    for one, other in zip(found[1:], expected[1:], strict=True):
        assert torch.equal(one.cpu(), other)
