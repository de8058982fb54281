"""Embeddings of masked regions, batched across images."""

import dataclasses

import numpy as np
import pytest
import torch
import torch._inductor.config
import torch.nn.functional as F  # noqa: N812

from pipeline.clip import RegionEncoder, load_clip
from pipeline.masks.masks import Masks
from pipeline.regions import RegionsConfig, masked_regions


def random_images(rng, sizes, proposals):
    for (height, width), count in zip(sizes, proposals, strict=True):
        masks = np.zeros((count, height, width), np.uint8)
        for mask in masks:
            y, x = rng.integers(0, height - 4), rng.integers(0, width - 4)
            mask[y : y + rng.integers(1, 20), x : x + rng.integers(1, 20)] = 1
        yield rng.integers(0, 256, (height, width, 3), dtype=np.uint8), masks


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_region_features_equal_one_image_at_a_time(tiny, batch_size):
    rng = np.random.default_rng(1)
    sizes, counts = [(40, 30), (64, 48), (20, 20), (33, 57)], [5, 0, 9, 3]
    images = list(random_images(rng, sizes, counts))
    images[2][1][4] = 0  # an empty mask among the nine
    encoder = RegionEncoder(tiny, RegionsConfig(), batch_size)
    encoded = list(encoder.encode((image, Masks.encode(masks), name) for name, (image, masks) in enumerate(images)))
    assert [name for name, _, _ in encoded] == [0, 1, 2, 3]
    for name, features, valid in encoded:
        image, masks = images[name]
        pixels, _, expected_valid, _ = masked_regions(
            torch.from_numpy(image.transpose(2, 0, 1).copy()),
            torch.from_numpy(masks).float(),
            clip_input=tiny.input,
        )  # fmt: skip
        assert valid.tolist() == expected_valid.tolist()
        expected = F.normalize(tiny.vision(pixels), dim=-1) if len(pixels) else torch.zeros(0, 32)
        assert len(features) == len(expected)
        if len(expected):
            np.testing.assert_allclose(features, expected.numpy(), atol=1e-5)


def test_masks_reach_the_prompts(tiny_folder):
    clip = load_clip(f"local-dir:{tiny_folder}", mask_prompt_depth=2)
    with torch.no_grad():
        clip.vision.prompts.normal_()
    images = list(random_images(np.random.default_rng(3), [(40, 30), (64, 48)], [5, 6]))
    encoded = RegionEncoder(clip, RegionsConfig(expand=3.0), 4).encode(
        (image, Masks.encode(masks), (image, masks)) for image, masks in images
    )
    for (image, masks), features, _ in encoded:
        pixels, region_masks, _, _ = masked_regions(
            torch.from_numpy(image.transpose(2, 0, 1).copy()),
            torch.from_numpy(masks).float(),
            expand=3.0, clip_input=clip.input,
        )  # fmt: skip
        expected = F.normalize(clip.vision(pixels, region_masks), dim=-1).numpy()
        np.testing.assert_allclose(features, expected, atol=1e-5)
        assert np.abs(features - F.normalize(clip.vision(pixels), dim=-1).numpy()).max() > 1e-2


def test_batches_are_filled_across_images(tiny):
    sizes = []

    def recorded(module, inputs):
        sizes.append(len(inputs[0]))

    hook = tiny.vision.register_forward_pre_hook(recorded)
    try:
        images = random_images(np.random.default_rng(2), [(40, 40)] * 7, [3] * 7)
        list(RegionEncoder(tiny, RegionsConfig(), 8).encode((i, Masks.encode(m), None) for i, m in images))
    finally:
        hook.remove()
    assert sizes == [8, 8, 5]


def test_masks_of_another_frame_are_refused(tiny):
    image, turned = np.zeros((20, 30, 3), np.uint8), np.ones((1, 30, 20), np.uint8)
    with pytest.raises(ValueError, match=r"\(30, 20\), their image is \(20, 30\)"):
        list(RegionEncoder(tiny, RegionsConfig(), 4).encode([(image, Masks.encode(turned), None)]))


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("counts", [[0], [0, 0, 0], [4, 0, 0, 4, 0], [0, 9, 0], [8, 8], [1, 7, 8, 0]], ids=str)
def test_images_without_regions_come_in_their_place(tiny, counts, ahead):
    images = random_images(np.random.default_rng(4), [(30, 40)] * len(counts), counts)
    given = ((image, Masks.encode(masks), number) for number, (image, masks) in enumerate(images))
    encoded = list(RegionEncoder(tiny, RegionsConfig(), 8).encode(given, ahead=ahead))
    assert [number for number, _, _ in encoded] == list(range(len(counts)))
    assert [len(features) for _, features, _ in encoded] == counts
    assert list(RegionEncoder(tiny, RegionsConfig(), 8).encode([], ahead=ahead)) == []


def test_an_image_without_regions_does_not_wait_for_others(tiny):
    asked = []

    def images():
        for number in range(50):
            asked.append(number)
            yield np.zeros((20, 20, 3), np.uint8), Masks([], 20, 20), number

    encoded = RegionEncoder(tiny, RegionsConfig(), 8).encode(images())
    assert next(encoded)[0] == 0
    encoded.close()
    assert len(asked) < 10


def test_reading_ahead_changes_no_bit(tiny):
    images = list(random_images(np.random.default_rng(5), [(40, 30), (64, 48), (20, 20)], [5, 9, 13]))
    encoder = RegionEncoder(tiny, RegionsConfig(fill="zero"), 8)
    given = [(image, Masks.encode(masks), None) for image, masks in images]
    runs = [list(encoder.encode(given, ahead=ahead)) for ahead in (True, False, True)]
    for one, other, third in zip(*runs, strict=True):
        assert np.array_equal(one[1], other[1])
        assert np.array_equal(one[1], third[1])


@pytest.mark.parametrize("ahead", [True, False])
def test_an_error_of_the_images_reaches_the_caller_and_the_next_call_works(tiny, ahead):
    [(image, masks)] = random_images(np.random.default_rng(6), [(40, 30)], [20])

    def images():
        yield image, Masks.encode(masks), "good"
        raise OSError("the storage is gone")

    encoder = RegionEncoder(tiny, RegionsConfig(), 8)
    with pytest.raises(OSError, match="the storage is gone"):
        list(encoder.encode(images(), ahead=ahead))
    [(name, features, _)] = encoder.encode([(image, Masks.encode(masks), "good")], ahead=ahead)
    assert (name, len(features)) == ("good", 20)


@pytest.mark.parametrize("ahead", [True, False])
def test_an_error_of_the_tower_reaches_the_caller_and_nothing_hangs(tiny, ahead):
    def fails(module, inputs):
        raise RuntimeError("no kernel")

    images = random_images(np.random.default_rng(7), [(40, 30)] * 5, [20] * 5)
    given = [(image, Masks.encode(masks), None) for image, masks in images]
    encoder = RegionEncoder(tiny, RegionsConfig(), 8)
    hook = tiny.vision.register_forward_pre_hook(fails)
    try:
        with pytest.raises(RuntimeError, match="no kernel"):
            list(encoder.encode(given, ahead=ahead))
    finally:
        hook.remove()
    assert len(list(encoder.encode(given, ahead=ahead))) == 5


@pytest.mark.slow
def test_a_compiled_tower_gets_batches_of_one_size(tiny_folder):
    plain = load_clip(f"local-dir:{tiny_folder}", mask_prompt_depth=2)
    compiled = load_clip(f"local-dir:{tiny_folder}", mask_prompt_depth=2, compiled_batch=8)
    compiled.vision.load_state_dict(plain.vision.state_dict())
    images = list(random_images(np.random.default_rng(8), [(40, 30), (64, 48)], [5, 6]))
    given = [(image, Masks.encode(masks), None) for image, masks in images]
    with torch._inductor.config.patch({"cpp.vec_isa_ok": True}):
        encoder = RegionEncoder(compiled, RegionsConfig(), 8)
        with torch._dynamo.config.patch(error_on_recompile=True):
            found = list(encoder.encode(given))
    for (_, features, _), (_, expected, _) in zip(
        found, RegionEncoder(plain, RegionsConfig(), 8).encode(given), strict=True
    ):
        np.testing.assert_allclose(features, expected, atol=1e-4)


def test_a_tower_compiled_for_other_batches_is_refused(tiny):
    with pytest.raises(ValueError, match="compiled for batches of 8, not of 16"):
        RegionEncoder(dataclasses.replace(tiny, compiled_batch=8), RegionsConfig(), 16)
