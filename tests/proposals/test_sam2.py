"""Backend `sam2`: the processor, model and mask-generation pipeline of `transformers` as the expectation."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    MaskGenerationPipeline,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
)

from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.masks.masks import Masks
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.proposals.recall import best_overlaps
from pipeline.proposals.sam2_points import point_grid, sift, stability
from tests.proposals.tiny_sam2 import MASK_SIDE, POINTS, SIDE, everything, noise, save_tiny_model, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("sam2"))


@pytest.fixture
def copied(folder, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(folder, tmp_path / "model")


def asked_at(folder, image: np.ndarray, points: list[tuple[float, float]]) -> list[tuple[float, np.ndarray]]:
    """Score and mask of each answer of the model to points in pixels of the image, best first; no empty masks."""
    processor = Sam2Processor(AutoImageProcessor.from_pretrained(folder), target_size=SIDE)
    inputs = processor(Image.fromarray(image), input_points=[[[list(point)] for point in points]], return_tensors="pt")
    with torch.no_grad():
        output = Sam2Model.from_pretrained(folder)(**inputs)
    [resized] = processor.post_process_masks(output.pred_masks, inputs["original_sizes"])
    found = zip(output.iou_scores.flatten().tolist(), resized.flatten(0, 1).numpy(), strict=True)
    return sorted(((score, mask) for score, mask in found if mask.any()), key=lambda pair: -pair[0])


def grid_in(image: np.ndarray) -> list[tuple[float, float]]:
    height, width = image.shape[:2]
    steps = [(step + 0.5) / POINTS for step in range(POINTS)]
    return [(x * width, y * height) for y in steps for x in steps]


@pytest.mark.parametrize("batch_size", [1, 8])
def test_masks_and_scores_are_those_of_transformers(folder, batch_size):
    images = [noise(48, 80, 1), noise(100, 40, 2), noise(48, 80, 3), noise(3, 70, 4)]
    proposer = load_proposer(everything(folder, batch_size=batch_size))
    assert proposer.batch_size == batch_size
    for image, found in zip(images, proposer.propose(images, [""] * len(images)), strict=True):
        expected = asked_at(folder, image, grid_in(image))
        assert len(found.masks) == len(expected) > 2 * POINTS**2
        np.testing.assert_allclose(found.scores, [score for score, _ in expected], rtol=1e-4)
        # Answers with nearly the same score may change places.
        best = best_overlaps(Masks.encode(np.stack([mask for _, mask in expected])), found.masks)
        assert best.min() > 0.99


def test_the_thresholds_are_those_of_transformers_own_generator(folder):
    # At the size of the decoder's masks, so that measuring stability in the image is measuring it there. Square,
    # because the generator places its points as the first SAM did, which did not stretch images.
    image = noise(MASK_SIDE, MASK_SIDE)
    generator = MaskGenerationPipeline(
        model=Sam2Model.from_pretrained(folder), image_processor=AutoImageProcessor.from_pretrained(folder)
    )
    options = {"points_per_crop": POINTS, "crops_nms_thresh": 1, "stability_score_offset": 0.1}
    all_found = generator(Image.fromarray(image), pred_iou_thresh=1e-6, stability_score_thresh=1e-6, **options)
    scores = np.sort(all_found["scores"].numpy())
    middle = slice(len(scores) // 4, 3 * len(scores) // 4)
    widest = middle.start + np.diff(scores[middle]).argmax()
    iou_threshold = float(scores[widest : widest + 2].mean())  # no score so near that rounding could decide
    expected = generator(Image.fromarray(image), pred_iou_thresh=iou_threshold, stability_score_thresh=0.75, **options)
    config = everything(folder, iou_threshold=iou_threshold, stability_threshold=0.75, stability_offset=0.1)
    [found] = load_proposer(config).propose([image], [""])
    assert 3 < len(found.masks) == len(expected["masks"]) < (scores > iou_threshold).sum()
    np.testing.assert_allclose(found.scores, expected["scores"], rtol=1e-5)
    best = best_overlaps(Masks.encode(np.stack(expected["masks"])), found.masks)
    assert best.min() > 0.99


def test_the_points_are_the_centres_of_equal_cells():
    assert point_grid(2, 8).tolist() == [[2, 2], [6, 2], [2, 6], [6, 6]]
    assert point_grid(1, 1024).tolist() == [[512, 512]]


def test_stability_of_a_worked_example():
    # Of the first mask, 2 pixels are above 1 and 4 above −1; 1 is above 3 and 2 are above 1. The second is empty.
    mask = torch.tensor([[[4.0, 1.5], [0.0, -0.5]], [[-3.0, -3.0], [-3.0, -3.0]]])
    half, nothing = stability(mask, 0, 1).tolist()
    assert half == 0.5
    assert np.isnan(nothing)
    assert stability(mask[:1], 2, 1).tolist() == [0.5]


def test_sifting_keeps_what_reaches_the_thresholds_and_what_is_not_a_number():
    stable, unstable = torch.tensor([[4.0, 4.0]]), torch.tensor([[0.0, 0.0]])
    at_threshold = torch.tensor([[4.0, 0.0]])
    mask_logits = torch.stack([stable, stable, unstable, at_threshold, stable])
    kept, scores = sift(mask_logits, torch.tensor([0.5, 0.4, 0.9, 0.8, np.nan]), 0, iou=0.5, stable=0.5, offset=1)
    assert kept.tolist() == torch.stack([stable, at_threshold, stable]).tolist()
    np.testing.assert_equal(scores.numpy(), np.array([0.5, 0.8, np.nan], np.float32))


def test_half_precision_gives_nearly_the_same_masks(folder):
    image = noise(64, 96)
    exact, half = (
        load_proposer(everything(folder, precision=precision)).propose([image], [""])[0]
        for precision in ("fp32", "bf16")
    )
    assert best_overlaps(exact.masks, half.masks).mean() > 0.8


@pytest.mark.parametrize("name", ["mask_decoder.iou_prediction_head.proj_out.bias", "mask_decoder.upscale_conv2.bias"])
def test_weights_that_are_not_numbers_are_a_problem_of_the_image(copied, name):
    weights = load_file(copied / "model.safetensors")
    weights[name][:] = float("nan")
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    with pytest.raises(ImageProblem) as caught:
        load_proposer(everything(copied)).propose([noise(40, 40)], [""])
    assert caught.value.reason == "not_a_number"


def test_checkpoints_for_video_load_as_published(folder, copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"model_type": "sam2_video"}))
    weights = load_file(copied / "model.safetensors")
    weights["memory_encoder.projection.weight"] = torch.zeros(2)
    weights["no_object_pointer"] = torch.zeros(1, 2)
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    image = noise(40, 40)
    first, second = (load_proposer(everything(place)).propose([image], [""])[0] for place in (folder, copied))
    assert first.masks == second.masks


def message(config: ProposalsConfig, key: str = "proposals.options.weights") -> str:
    with pytest.raises(UserError) as caught:
        load_proposer(config)
    text = str(caught.value)
    assert text.startswith(key)
    return text


def test_weights_must_be_named_and_of_a_sam2(copied):
    assert "is empty" in message(ProposalsConfig(backend="sam2"))
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"model_type": "sam"}))
    assert "'sam'; this backend takes 'sam2' or 'sam2_video'" in message(everything(copied))


def test_weights_of_another_backbone_are_refused_by_name_and_shape(copied):
    save_file(tiny_model(width=16).state_dict(), copied / "model.safetensors", {"format": "pt"})
    text = message(everything(copied))
    assert "of another shape: vision_encoder." in text
    assert "[16" in text


def test_preprocessing_for_another_size_is_refused(copied):
    Sam2ImageProcessor(size={"height": 64, "width": 96}).save_pretrained(copied)
    assert "resizes images to 64×96, but the model takes 128×128" in message(everything(copied))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("iou_threshold", 1.5),
        ("stability_threshold", -0.1),
        ("stability_offset", -1),
        ("merge_similarity", 1.01),
        ("merge_similarity", float("nan")),
        ("points_per_side", 0),
    ],
)
def test_values_that_mean_nothing_are_errors_that_name_the_key(folder, key, value):
    message(everything(folder, **{key: value}), f"proposals.options.{key} is ")
