"""Backend `mask2former`: the model and the image processor of `transformers`, called by hand, as the expectation."""

import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessor,
)

from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.proposals import Proposals, ProposalsConfig, load_proposer
from pipeline.proposals.recall import best_overlaps
from tests.proposals.tiny_mask2former import QUERIES, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model with random weights, as `transformers` saves it."""
    folder = tmp_path_factory.mktemp("mask2former")
    tiny_model().save_pretrained(folder)
    Mask2FormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 160}).save_pretrained(folder)
    return folder


@pytest.fixture
def copied(folder, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(folder, tmp_path / "model")


def everything(folder, **values) -> ProposalsConfig:
    """Whatever mask is not empty."""
    limits = {"min_area": 0, "max_area": 1, "max_iou": 1, "max_proposals": 1000}
    return ProposalsConfig(backend="mask2former", options={"weights": str(folder)}, **limits | values)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_hand(folder, image: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Score and mask of each query with a mask, best first."""
    height, width = image.shape[:2]
    inputs = AutoImageProcessor.from_pretrained(folder)(Image.fromarray(image), return_tensors="pt")
    with torch.no_grad():
        output = Mask2FormerForUniversalSegmentation.from_pretrained(folder)(**inputs)
    classes = output.class_queries_logits[0].softmax(dim=-1)[:, :-1]
    logits = output.masks_queries_logits[0]
    shown = inputs.pixel_mask[0]
    if not shown.all():
        logits = F.interpolate(logits[None], shown.shape, mode="bilinear")[0]
        logits = logits[:, : shown[:, 0].sum(), : shown[0].sum()]
    resized = F.interpolate(logits[None], (height, width), mode="bilinear")[0] > 0
    found = [
        (float(objectness * mask.sigmoid()[mask > 0].mean()), inside.numpy())
        for objectness, mask, inside in zip(classes.sum(dim=-1), logits, resized, strict=True)
        if inside.any()
    ]
    return sorted(found, key=lambda pair: -pair[0])


def check_equal(found: Proposals, expected: list[tuple[float, np.ndarray]]) -> None:
    assert len(found.masks) == len(expected) > QUERIES / 2
    np.testing.assert_allclose(found.scores, [score for score, _ in expected], rtol=1e-4)
    for mask, (_, inside) in zip(found.masks.decode(), expected, strict=True):
        assert (mask != inside).sum() <= 2  # where upsampled logits are 0 but for rounding


def test_masks_and_scores_are_those_of_transformers(folder):
    images = [noise(48, 72, 1), noise(90, 60, 2), noise(48, 72, 3), noise(3, 50, 4), noise(20, 20, 5)]
    proposer = load_proposer(everything(folder, batch_size=2))
    assert proposer.batch_size == 2
    for image, found in zip(images, proposer.propose(images, [""] * len(images)), strict=True):
        check_equal(found, by_hand(folder, image))


def test_what_a_processor_pads_is_cut_off(copied):
    processor = Mask2FormerImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 160}, size_divisor=0, pad_size={"height": 170, "width": 163}
    )
    processor.save_pretrained(copied)
    image = noise(60, 90)
    [found] = load_proposer(everything(copied)).propose([image], [""])
    check_equal(found, by_hand(copied, image))


def test_half_precision_gives_nearly_the_same_masks(folder):
    image = noise(64, 96)
    exact, half = (
        load_proposer(everything(folder, precision=precision)).propose([image], [""])[0]
        for precision in ("fp32", "bf16")
    )
    assert best_overlaps(exact.masks, half.masks).mean() > 0.8


def test_weights_that_are_not_numbers_are_a_problem_of_the_image(copied):
    weights = load_file(copied / "model.safetensors")
    weights["model.transformer_module.queries_features.weight"][:] = float("nan")
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    with pytest.raises(ImageProblem) as caught:
        load_proposer(everything(copied)).propose([noise(40, 40)], [""])
    assert caught.value.reason == "not_a_number"


def test_the_digest_follows_the_weights(folder, copied):
    first = load_proposer(everything(folder)).identity
    assert (first["name"], first["version"]) == ("mask2former", "2")
    assert load_proposer(everything(copied)).identity == first
    tiny_model(seed=1).save_pretrained(copied)
    assert load_proposer(everything(copied)).identity["weights_sha256"] != first["weights_sha256"]


def test_buffers_that_older_versions_saved_are_no_surprise(folder, copied):
    weights = load_file(copied / "model.safetensors")
    table = next(name for name in weights if name.endswith("relative_position_bias_table"))
    weights[table.replace("relative_position_bias_table", "relative_position_index")] = torch.zeros(256)
    del weights["criterion.empty_weight"]
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    image = noise(40, 40)
    first, second = (load_proposer(everything(place)).propose([image], [""])[0] for place in (folder, copied))
    assert first.masks == second.masks


def message(config: ProposalsConfig) -> str:
    with pytest.raises(UserError) as caught:
        load_proposer(config)
    text = str(caught.value)
    assert text.startswith("proposals.options.weights")
    return text


def test_weights_must_be_named_and_there(tmp_path):
    assert "is empty" in message(ProposalsConfig(backend="mask2former"))
    assert "absent" in message(everything(tmp_path / "absent"))
    assert "config.json" in message(everything(tmp_path))


def test_another_model_is_refused_by_its_type(copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"model_type": "warpformer"}))
    assert "'warpformer'" in message(everything(copied))
    (copied / "config.json").write_text("[1, 2]")
    assert "not a JSON object" in message(everything(copied))
    (copied / "config.json").write_text('{"model_type"')
    assert "not a JSON object" in message(everything(copied))


def test_a_directory_without_weights_or_preprocessing_is_refused(copied):
    (copied / "preprocessor_config.json").rename(copied / "elsewhere")
    assert "cannot be loaded" in message(everything(copied))
    (copied / "elsewhere").rename(copied / "preprocessor_config.json")
    (copied / "model.safetensors").write_bytes(b"damaged")
    assert "cannot be loaded" in message(everything(copied))
    (copied / "model.safetensors").unlink()
    assert "cannot be loaded" in message(everything(copied))


def test_weights_of_another_backbone_are_refused_by_name_and_shape(copied):
    weights = tiny_model(width=16).state_dict()
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    text = message(everything(copied))
    assert "of another shape: model.pixel_level_module." in text
    assert "[32, 64, 1, 1] instead of [32, 32, 1, 1]" in text


def test_missing_and_superfluous_weights_are_named(copied):
    weights = load_file(copied / "model.safetensors")
    weights["class_predictor.scale"] = weights.pop("class_predictor.bias")
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    text = message(everything(copied))
    assert "missing: class_predictor.bias" in text
    assert "not in the model: class_predictor.scale" in text
