"""The `maskformer` backend from images to proposals, queries and predictions."""

import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file, save_file
from transformers import MaskFormerImageProcessor

from pipeline.clip import load_clip
from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.proposals.proposer import ClassifyingProposer
from pipeline.regions import RegionsConfig
from pipeline.segmentation import UNLABELLED, SegmentationConfig, Segmenter
from pipeline.weights.fetching import sha256
from tests.clip.openai_weights import EMBED_DIM
from tests.proposals.maskformer.checkpoints import class_embeddings

_WEIGHTS = "model.safetensors"
MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
TEXTS = F.normalize(torch.randn(3, EMBED_DIM, generator=torch.Generator().manual_seed(8)), dim=-1).numpy()


def config(weights, **settings):
    settings = {"min_area": 0, "max_area": 1, "max_iou": 1} | settings
    options = {"weights": str(weights), "short_side": 64, "max_side": 160}
    return ProposalsConfig("maskformer", options, **settings)


def noise(height=64, width=96, seed=0):
    """An image of patches; at its default size it needs neither resizing nor padding."""
    patches = np.random.default_rng(seed).integers(0, 256, (-(-height // 16), -(-width // 16), 3), dtype=np.uint8)
    return patches.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]


def by_the_model(maskformer, image):
    pixels = torch.from_numpy(((image - MEAN) / STD).transpose(2, 0, 1)[None]).float()
    with torch.inference_mode():
        return maskformer(pixels)


def expected_proposals(mask_logits, factors, height, width):
    """Masks above one half and their scores, best first, as MaskFormer's own inference makes them."""
    probabilities = mask_logits.sigmoid()
    inside = mask_logits > 0
    scores = (probabilities * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1) * factors
    whole = F.interpolate(mask_logits[None], (height, width), mode="bilinear")[0] > 0
    order = [place for place in scores.argsort(descending=True, stable=True).tolist() if inside[place].any()]
    return whole[order].numpy(), scores[order].numpy()


@pytest.fixture(scope="module")
def ovseg(ovseg_file):
    return load_proposer(config(ovseg_file))


@pytest.fixture(scope="module")
def folder(maskformer, tmp_path_factory):
    return save_folder(maskformer, tmp_path_factory.mktemp("saved"))


def save_folder(maskformer, folder, without=(), **changed):
    """The directory that `transformers` saves, without some weights, or with some full of one number."""
    maskformer.save_pretrained(folder)
    MaskFormerImageProcessor().save_pretrained(folder)
    weights = {name: tensor for name, tensor in load_file(folder / _WEIGHTS).items() if name not in without}
    for name, value in changed.items():
        weights[name].fill_(value)
    save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})
    return folder


def test_proposals_of_an_ovseg_checkpoint(ovseg, maskformer):
    image = noise()
    logits = by_the_model(maskformer, image).masks_queries_logits[0]
    expected_masks, expected_scores = expected_proposals(logits, 1, 64, 96)
    assert len(expected_masks) >= 2
    assert len({mask.tobytes() for mask in expected_masks}) >= 2
    [found] = ovseg.propose([image], ["a"])
    np.testing.assert_allclose(found.scores, expected_scores, atol=1e-5)
    decoded = found.masks.decode()
    assert (decoded != expected_masks).mean() < 1e-4  # pixels whose logit is 0 but for rounding


@pytest.mark.parametrize("kind", ["directory", "detectron2's layout"])
def test_fixed_classes_weigh_the_scores_and_do_not_classify(folder, maskformer, maskformer_file, kind):
    weights = folder if kind == "directory" else maskformer_file
    proposer = load_proposer(config(weights))
    assert not isinstance(proposer, ClassifyingProposer)
    assert proposer.identity == {"name": "maskformer", "version": "2", "weights_sha256": sha256(weights)}
    image = noise(seed=1)
    expected = by_the_model(maskformer, image)
    factors = 1 - expected.class_queries_logits[0].softmax(-1)[:, -1]
    _, expected_scores = expected_proposals(expected.masks_queries_logits[0], factors, 64, 96)
    [found] = proposer.propose([image], ["a"])
    np.testing.assert_allclose(found.scores, expected_scores, atol=1e-5)


def test_queries_of_an_ovseg_checkpoint(ovseg, maskformer, ovseg_weights):
    assert isinstance(ovseg, ClassifyingProposer)
    images = [noise(), noise(128, 96), noise(seed=2)]
    found = ovseg.propose_queries(images, ["a", "b", "c"], TEXTS)
    for image, queries in zip(images[::2], found[::2], strict=True):
        expected = by_the_model(maskformer, image)
        np.testing.assert_allclose(queries.mask_logits, expected.masks_queries_logits[0], atol=1e-3)
        embeddings = class_embeddings(ovseg_weights, expected.transformer_decoder_last_hidden_state[0])
        classes = torch.cat([torch.from_numpy(TEXTS), ovseg_weights["clip_adapter.non_object_embedding"]])
        logits = 100 * F.cosine_similarity(embeddings[:, None], classes[None], dim=-1)
        np.testing.assert_allclose(queries.class_logits, logits, atol=1e-3)
        assert queries.mask_logits.dtype == queries.class_logits.dtype == np.float32
    assert found[1].mask_logits.shape == (10, 22, 16)  # resized to 85 × 64: 21.25 rows of the masks


def test_batches_do_not_change_what_an_image_gives(ovseg_file):
    images = [noise(seed=seed) for seed in range(3)] + [noise(40, 70)]
    together = load_proposer(config(ovseg_file)).propose_queries(images, list("abcd"), TEXTS)
    proposer = load_proposer(config(ovseg_file, batch_size=1))
    for image, queries in zip(images, together, strict=True):
        [alone] = proposer.propose_queries([image], ["x"], TEXTS)
        np.testing.assert_allclose(queries.mask_logits, alone.mask_logits, atol=1e-3)
        np.testing.assert_allclose(queries.class_logits, alone.class_logits, atol=1e-3)


def test_bf16(ovseg, ovseg_file):
    [found] = load_proposer(config(ovseg_file, precision="bf16")).propose_queries([noise()], ["a"], TEXTS)
    [exact] = ovseg.propose_queries([noise()], ["a"], TEXTS)
    assert found.mask_logits.dtype == np.float32
    error = np.abs(found.mask_logits - exact.mask_logits).mean() / np.abs(exact.mask_logits).mean()
    assert 0 < error < 0.1


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (1, 5000), (5000, 1), (33, 200)])
def test_queries_of_odd_sizes(ovseg, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    [queries] = ovseg.propose_queries([image], ["odd"], TEXTS)
    assert len(queries.mask_logits) == 10


def save_changed(weights, path, name, value):
    torch.save({"model": weights | {name: torch.full_like(weights[name], value)}}, path)


def test_no_mask_has_a_pixel(ovseg_weights, tmp_path):
    weights = dict(ovseg_weights)
    weights["sem_seg_head.pixel_decoder.mask_features.weight"] = torch.zeros(64, 32, 3, 3)
    save_changed(weights, tmp_path / "none.pth", "sem_seg_head.pixel_decoder.mask_features.bias", 0)
    proposer = load_proposer(config(tmp_path / "none.pth"))
    assert not proposer.propose([noise()], ["a"])[0].masks
    assert (proposer.propose_queries([noise()], ["a"], TEXTS)[0].mask_logits == 0).all()


def test_logits_that_are_not_numbers(ovseg_weights, tmp_path):
    name = "sem_seg_head.predictor.mask_embed.layers.2.bias"
    save_changed(ovseg_weights, tmp_path / "nan.pth", name, float("nan"))
    with pytest.raises(ImageProblem, match="not_a_number"):
        load_proposer(config(tmp_path / "nan.pth")).propose([noise()], ["a"])


def test_scores_that_are_not_numbers(maskformer, tmp_path):
    folder = save_folder(maskformer, tmp_path, **{"class_predictor.bias": float("nan")})
    with pytest.raises(ImageProblem, match="not_a_number"):
        load_proposer(config(folder)).propose([noise()], ["a"])


# In the segmenter


def test_segmentation_with_the_clip_of_the_same_file(ovseg, ovseg_file):
    clip = load_clip(None, str(ovseg_file))
    assert clip.vision.depth == 2
    segmenter = Segmenter(
        clip, ovseg, [("red thing",), ("grass", "lawn")], SegmentationConfig(templates="photo"), RegionsConfig(), 4
    )
    assert segmenter.classifies
    images = [noise(), noise(50, 41), noise(1, 300)]
    for image, prediction in segmenter.predict((image, str(index), image) for index, image in enumerate(images)):
        for weight in (0, 0.7, 1):
            labels = prediction.label_map(weight)
            assert labels.shape == image.shape[:2]
            assert set(np.unique(labels)) <= {0, 1, UNLABELLED}
        assert prediction.proposal_logits.shape == (10, 3)


def test_a_clip_of_another_width(ovseg):
    with pytest.raises(UserError, match=r"embeddings of width 32, and those of clip\.architecture have 512; leave"):
        ovseg.propose_queries([noise()], ["a"], np.ones((2, 512), np.float32))


# Weights that cannot be used


def test_no_weights():
    with pytest.raises(UserError, match=r"^proposals\.options\.weights is empty: give an OVSeg checkpoint"):
        load_proposer(ProposalsConfig(backend="maskformer"))


@pytest.mark.parametrize("name", ["absent.pth", "absent"])
def test_weights_that_are_not_there(tmp_path, name):
    with pytest.raises(UserError, match=rf"proposals\.options\.weights: there is no .*{name}"):
        load_proposer(config(tmp_path / name))


def test_a_directory_of_another_model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mask2former"}))
    with pytest.raises(UserError, match=r"proposals\.options\.weights: .* 'mask2former'; .* takes 'maskformer'"):
        load_proposer(config(tmp_path))


def test_a_directory_without_some_of_its_weights(maskformer, tmp_path):
    folder = save_folder(maskformer, tmp_path, without=["class_predictor.bias"])
    with pytest.raises(UserError, match=r"proposals\.options\.weights: .* missing: class_predictor\.bias"):
        load_proposer(config(folder))


def test_a_directory_whose_weights_are_of_another_size(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    described = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(described | {"mask_feature_size": 96}))
    with pytest.raises(UserError, match=r"proposals\.options\.weights: .* of another shape: mask_embedder"):
        load_proposer(config(tmp_path))


def test_a_directory_without_weights(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / _WEIGHTS).unlink()
    with pytest.raises(UserError, match=rf"proposals\.options\.weights: {tmp_path} cannot be loaded"):
        load_proposer(config(tmp_path))
