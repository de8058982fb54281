"""Merging of over-fine masks: brute force on sets of pixels, and other ways to the same patch features."""

import itertools
import json

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from safetensors.torch import save_file
from scipy import ndimage

from pipeline.clip import MaskPromptedVision, load_clip
from pipeline.clip.towers import patch_tower
from pipeline.errors import UserError
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.proposals.merging import unite_similar
from pipeline.proposals.patch_features import PatchFeatures, embed_patches
from pipeline.proposals.sam2 import Sam2
from tests.clip.towers import VISION_CFGS, image_size, tower
from tests.proposals.tiny_sam2 import everything, noise, save_tiny_model

ANY_AREA = {"min_area": 0, "max_area": 1, "max_iou": 1}


def logits_of(*drawn: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.where(np.stack(drawn), 2.0, -2.0).astype(np.float32))


def box(x0: int, y0: int, x1: int, y1: int, height: int = 12, width: int = 12) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def patches(*kinds: int) -> torch.Tensor:
    """Patch features that are equal for equal kinds and at right angles for others."""
    return torch.eye(max(kinds) + 1)[list(kinds)]


def unite(mask_logits, scores, patches_ND, grid, similarity=0.9, **limits):
    united, scores_K = unite_similar(
        mask_logits, torch.tensor(scores), patches_ND, grid, similarity=similarity,
        config=ProposalsConfig(**ANY_AREA | limits),
    )  # fmt: skip
    return (united > 0).numpy(), scores_K.tolist()


# A grid of 3 × 3 patches of 4 pixels a side: the left two columns are of one kind, the right one is of another.
TWO_KINDS = patches(0, 0, 1, 0, 0, 1, 0, 0, 1)


def test_parts_that_touch_and_look_alike_become_one():
    left, middle, right = box(0, 0, 4, 12), box(4, 0, 8, 8), box(8, 0, 12, 12)
    found, scores = unite(logits_of(left, middle, right), [0.9, 0.6, 0.5], TWO_KINDS, (3, 3))
    assert [mask.tolist() for mask in found] == [(left | middle).tolist(), right.tolist()]
    # Weighted by area: 48 pixels of 0.9 and 32 of 0.6.
    np.testing.assert_allclose(scores, [(48 * 0.9 + 32 * 0.6) / 80, 0.5], rtol=1e-6)


def test_parts_that_do_not_touch_stay_apart():
    apart = logits_of(box(0, 0, 4, 12), box(5, 0, 8, 12))
    assert len(unite(apart, [0.9, 0.6], TWO_KINDS, (3, 3))[0]) == 2
    diagonal = logits_of(box(0, 0, 4, 4), box(4, 4, 8, 8))
    assert len(unite(diagonal, [0.9, 0.6], TWO_KINDS, (3, 3))[0]) == 1


def test_a_part_goes_into_the_whole_that_holds_it():
    whole, part = box(0, 0, 8, 12), box(2, 2, 8, 8)
    found, _ = unite(logits_of(part, whole), [0.9, 0.6], TWO_KINDS, (3, 3))
    assert [mask.tolist() for mask in found] == [whole.tolist()]


def test_masks_smaller_than_a_patch_stay_as_they_are():
    found, _ = unite(logits_of(box(0, 0, 4, 12), box(4, 0, 7, 5)), [0.9, 0.6], TWO_KINDS, (3, 3))
    assert len(found) == 2


def test_no_union_is_beyond_the_area_limit():
    parts = logits_of(box(0, 0, 4, 12), box(4, 0, 8, 12), box(8, 0, 12, 12))
    found, _ = unite(parts, [0.9, 0.6, 0.3], patches(*[0] * 9), (3, 3), max_area=0.7)
    assert sorted(mask.sum() for mask in found) == [48, 96]


def test_duplicates_are_dropped_before_they_spoil_the_union():
    part, duplicate = box(0, 0, 8, 8), box(0, 0, 9, 8)
    found, scores = unite(logits_of(duplicate, part), [0.5, 0.9], patches(*[0] * 9), (3, 3), max_iou=0.7)
    assert [mask.tolist() for mask in found] == [part.tolist()]
    assert scores == [pytest.approx(0.9)]


def test_nothing_and_what_is_not_a_number():
    nothing = torch.zeros((0, 12, 12))
    assert len(unite(nothing, [], TWO_KINDS, (3, 3))[0]) == 0
    parts = logits_of(box(0, 0, 4, 12), box(4, 0, 8, 12), box(0, 0, 8, 8))
    assert len(unite(parts, [np.nan, 0.5, 0.5], TWO_KINDS, (3, 3), similarity=1)[0]) == 1
    damaged = torch.full((2, 12, 12), torch.nan)
    given = unite_similar(damaged, torch.ones(2), TWO_KINDS, (3, 3), similarity=0.5, config=ProposalsConfig())
    assert given[0] is damaged


def united_by_brute_force(drawn, scores, patches_ND, rows, columns, similarity, max_pixels):
    """The same greedy search on NumPy masks, with the whole comparison done again after each union."""
    parts = [(mask, score) for mask, score in zip(drawn, scores, strict=True) if 0 < mask.sum() <= max_pixels]
    height, width = drawn[0].shape

    def feature(mask):
        blocks = mask.reshape(rows, height // rows, columns, width // columns).mean(axis=(1, 3)).reshape(-1)
        mean = blocks @ patches_ND
        return mean / np.linalg.norm(mean) if blocks.sum() >= 1 else None

    while True:
        best = (similarity, None)
        for first, second in itertools.combinations(range(len(parts)), 2):
            a, b = parts[first][0], parts[second][0]
            features = feature(a), feature(b)
            if any(found is None for found in features) or (a | b).sum() > max_pixels:
                continue
            if not (ndimage.binary_dilation(a, np.ones((3, 3))) & b).any():
                continue
            best = max(best, (float(features[0] @ features[1]), (first, second)), key=lambda pair: pair[0])
        if best[1] is None:
            return parts
        first, second = best[1]
        (a, score_a), (b, score_b) = parts[first], parts.pop(second)
        parts[first] = (a | b, (a.sum() * score_a + b.sum() * score_b) / (a.sum() + b.sum()))


@pytest.mark.parametrize("seed", range(20))
def test_uniting_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    # Finer than the masks: two masks that show the same part of one patch would be equally like any third.
    rows, columns = (12, 8) if seed % 2 else (8, 12)
    drawn = []
    for _ in range(12):
        y, x = rng.integers(0, 20), rng.integers(0, 20)
        drawn.append(box(x, y, x + rng.integers(3, 12), y + rng.integers(3, 12), 24, 24))
    scores = rng.random(12).astype(np.float32)
    patches_ND = rng.normal(0.5, 1, (rows * columns, 5))
    patches_ND /= np.linalg.norm(patches_ND, axis=1, keepdims=True)
    expected = united_by_brute_force(drawn, scores, patches_ND, rows, columns, 0.6, 0.5 * 24 * 24)
    found, found_scores = unite(
        logits_of(*drawn), scores, torch.from_numpy(patches_ND).float(), (rows, columns), 0.6, max_area=0.5
    )
    assert len(expected) < 12

    def ordered(pairs):
        return sorted((mask.tobytes(), round(float(score), 5)) for mask, score in pairs)

    assert ordered(zip(found, found_scores, strict=True)) == ordered(expected)


# ------------------------------------------------------------------------------ features of patches


def test_patches_of_a_class_token_tower_are_its_output_tokens_projected():
    visual = tower("class token")
    pixels = torch.randn(2, 3, 32, 32)
    found = embed_patches(patch_tower(visual), pixels)
    visual.output_tokens = True
    _, tokens = visual(pixels)  # after the last norm
    torch.testing.assert_close(found, tokens @ visual.proj)


def test_the_mean_of_the_patches_of_an_averaging_tower_is_its_embedding():
    visual = tower("average")
    pixels = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(embed_patches(patch_tower(visual), pixels).mean(dim=1), visual(pixels))


@pytest.mark.parametrize("kind", ["SigLIP", "PE-Core"])
def test_patches_of_an_attention_pooling_tower_are_pooled_alone(kind):
    visual = tower(kind)
    trunk = visual.trunk
    pixels = torch.randn(2, 3, 32, 32)
    tokens = trunk.forward_features(pixels)[:, trunk.num_prefix_tokens :]
    alone = torch.stack([trunk.attn_pool(tokens[:, place : place + 1]) for place in range(tokens.shape[1])], dim=1)
    alone = trunk.fc_norm(alone) if hasattr(trunk, "fc_norm") else alone
    torch.testing.assert_close(embed_patches(patch_tower(visual), pixels), visual.head(trunk.head(alone)))


@pytest.mark.parametrize("kind", list(VISION_CFGS))
def test_every_tower_with_patches_embeds_them(kind):
    visual = tower(kind)
    pieces = patch_tower(visual)
    pixels = torch.randn(2, 3, *image_size(kind))
    found = embed_patches(pieces, pixels)
    embedding = MaskPromptedVision(visual, 0)(pixels)
    assert found.shape == (2, pieces.grid[0] * pieces.grid[1], embedding.shape[1])
    assert found.isfinite().all()


def test_each_patch_is_what_clip_sees_there(small_clip):
    clip = load_clip(small_clip)
    features = PatchFeatures(clip)
    image = noise(64, 64)
    [found] = features([image])
    assert features.grid == (4, 4)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(16))
    # open_clip's own preprocessing of a square image, which rounds to 8 bits on its way.
    pixels = clip.preprocess(Image.fromarray(image))[None]
    expected = F.normalize(embed_patches(patch_tower(clip.model.visual), pixels)[0], dim=1)
    assert (found * expected).sum(dim=1).min() > 0.999
    torch.testing.assert_close(features([noise(20, 90, 1), noise(20, 90, 2)])[1], features([noise(20, 90, 2)])[0])


# --------------------------------------------------------------------------------- in the backend


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("sam2"))


def test_sam2_with_merging_proposes_fewer_and_larger_masks(folder, small_clip):
    options = {"merge_clip": small_clip, "merge_clip_weights": None}
    images = [noise(48, 80, 1), noise(48, 80, 2)]
    plain = load_proposer(everything(folder))
    merging = load_proposer(everything(folder, merge_similarity=0.0, **options))
    assert isinstance(merging, Sam2)
    assert merging.identity.keys() == plain.identity.keys() | {"merge_clip_sha256"}
    for before, after in zip(plain.propose(images, ["", ""]), merging.propose(images, ["", ""]), strict=True):
        assert 0 < len(after.masks) < len(before.masks)
    never = load_proposer(everything(folder, merge_similarity=1.0, **options))
    assert len(never.propose(images, ["", ""])[0].masks) <= len(plain.propose(images, ["", ""])[0].masks)


def test_a_clip_without_patch_tokens_is_refused(folder, tmp_path):
    model_cfg = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16, "patch_size": None},
        "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    save_file(open_clip.CLIP(**model_cfg).state_dict(), tmp_path / "open_clip_model.safetensors")
    config = {"model_cfg": model_cfg, "preprocess_cfg": {"size": 32}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    config = everything(folder, merge_similarity=0.9, merge_clip=f"local-dir:{tmp_path}", merge_clip_weights=None)
    with pytest.raises(UserError, match=r"^proposals\.options\.merge_clip: .* has no patch tokens"):
        load_proposer(config)


def test_a_clip_that_there_is_not_is_refused(folder):
    with pytest.raises(UserError, match=r"^proposals\.options\.merge_clip .*ViT-B-17"):
        load_proposer(everything(folder, merge_similarity=0.9, merge_clip="ViT-B-17"))
