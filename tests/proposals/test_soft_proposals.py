"""Soft masks → proposals, against the definitions written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from pycocotools import mask as coco_mask
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.images import ImageProblem
from pipeline.masks import rle
from pipeline.proposals import Proposals, ProposalsConfig
from pipeline.proposals.soft_proposals import mask_confidence, soft_proposals
from tests.proposals.invariants import check_invariants

HEIGHT, WIDTH = 40, 60
EVERYTHING = ProposalsConfig(min_area=0, max_area=1, max_iou=1)


def boxes(*places: tuple[int, int, int, int], confidence: float = 4.0) -> torch.Tensor:
    """Logits float [K,10,15] of boxes x0, y0, x1, y1."""
    logits = torch.full((len(places), 10, 15), -confidence)
    for mask, (x0, y0, x1, y1) in zip(logits, places, strict=True):
        mask[y0:y1, x0:x1] = confidence
    return logits


def propose(
    logits: torch.Tensor, scores: torch.Tensor, config: ProposalsConfig, height: int = HEIGHT, width: int = WIDTH
) -> Proposals:
    [found] = soft_proposals(logits[None], scores[None], height, width, config)
    return found


def one_by_one(logits: torch.Tensor, scores: np.ndarray, config: ProposalsConfig) -> tuple[list[bytes], list[float]]:
    """The same, a mask at a time: upsampled by torch, compared by pycocotools."""

    def keep(stack: np.ndarray, order: np.ndarray) -> list[int]:
        kept: list[int] = []
        codes = coco_mask.encode(np.asfortranarray(stack.transpose(1, 2, 0)))
        for index in order:
            share = stack[index].mean()
            near = coco_mask.iou([codes[index]], [codes[other] for other in kept], [False] * len(kept)) if kept else []
            limit = np.float32(config.max_iou)
            if config.min_area <= share <= config.max_area and (np.float32(near) <= limit).all():
                kept.append(index)
        return kept[: config.max_proposals]

    kept = keep((logits > 0).numpy().astype(np.uint8), np.argsort(-scores, kind="stable"))
    upsampled = [F.interpolate(logits[None, [index]], (HEIGHT, WIDTH), mode="bilinear")[0, 0] > 0 for index in kept]
    stack = torch.stack(upsampled).numpy().astype(np.uint8)
    again = keep(stack, np.arange(len(stack)))
    return rle.encode(stack[again]), [float(scores[kept[index]]) for index in again]


def blobs(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    noise = torch.from_numpy(rng.normal(0, 9, (count, 10, 15)).astype(np.float32))
    return F.avg_pool2d(noise, 5, stride=1, padding=2), torch.from_numpy(rng.random(count).astype(np.float32))


@pytest.mark.parametrize("seed", range(10))
def test_proposals_are_those_of_masks_one_by_one(seed):
    logits, scores = blobs(80, seed)
    config = ProposalsConfig(min_area=0.1, max_area=0.6, max_iou=0.4, max_proposals=20)
    found = propose(logits, scores, config)
    assert (list(found.masks), found.scores.tolist()) == one_by_one(logits, scores.numpy(), config)
    assert 5 < len(found.masks) <= 20
    check_invariants(found, np.zeros((HEIGHT, WIDTH, 3), np.uint8), config)


def test_images_of_a_batch_are_apart():
    images = [blobs(30, seed) for seed in (11, 12, 13)]
    images[1] = (torch.full_like(images[1][0], -1), images[1][1])  # nothing is inside
    logits, scores = (torch.stack(parts) for parts in zip(*images, strict=True))
    together = soft_proposals(logits, scores, HEIGHT, WIDTH, EVERYTHING)
    alone = [propose(*image, EVERYTHING) for image in images]
    assert [list(found.masks) for found in together] == [list(found.masks) for found in alone]
    assert [found.scores.tolist() for found in together] == [found.scores.tolist() for found in alone]
    assert not together[1].masks


class Operations(TorchDispatchMode):
    """Counts what a device would be told to do, beside the views that numpy takes of tensors and gives back."""

    _BOOKKEEPING = ("detach", "lift_fresh", "resolve_conj", "resolve_neg")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function.overloadpacket.__name__ not in self._BOOKKEEPING
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("images", [1, 3])
def test_operations_do_not_depend_on_the_number_of_masks(images):
    batches = [[blobs(count, seed) for seed in range(images)] for count in (3, 100)]
    counts = []
    for batch in batches:
        logits, scores = (torch.stack(parts) for parts in zip(*batch, strict=True))
        soft_proposals(logits, scores, HEIGHT, WIDTH, EVERYTHING)  # the grid of pixels is made once
        with Operations() as operations:
            soft_proposals(logits, scores, HEIGHT, WIDTH, EVERYTHING)
        counts.append(operations.count)
    assert counts[0] == counts[1] <= 60


def test_what_is_kept_is_upsampled_with_smooth_edges():
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 3, (5, 10, 15)).astype(np.float32))
    scores = torch.tensor([0.1, 0.5, 0.3, 0.9, 0.2])
    found = propose(logits, scores, EVERYTHING)
    upsampled = F.interpolate(logits[None], (HEIGHT, WIDTH), mode="bilinear")[0]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5, 0.3, 0.2, 0.1])
    expected = (upsampled[[3, 1, 2, 4, 0]] > 0).numpy()
    differing = found.masks.decode().astype(bool) != expected
    assert differing.mean() < 1e-3  # where rounding decides


def test_limits_overlaps_and_number():
    logits = boxes((0, 0, 6, 6), (0, 0, 6, 5), (8, 0, 14, 6), (0, 8, 1, 9), (0, 0, 15, 10), (2, 7, 8, 10))
    scores = torch.tensor([0.9, 0.8, 0.7, 0.99, 0.95, 0.1])
    config = ProposalsConfig(min_area=0.02, max_area=0.9, max_iou=0.7, max_proposals=2)
    found = propose(logits, scores, config)
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])
    assert found.masks.boxes().tolist() == [[0, 0, 24, 24], [32, 0, 56, 24]]


def test_the_threshold_is_a_probability():
    logits = torch.full((1, 10, 15), 0.5)  # probability 0.62
    for threshold, expected in ((0.5, 1), (0.6, 1), (0.65, 0)):
        config = ProposalsConfig(mask_threshold=threshold, max_area=1)
        assert len(propose(logits, torch.ones(1), config).masks) == expected


def test_masks_and_scores_that_are_not_numbers_are_dropped():
    logits = boxes((0, 0, 6, 6), (8, 0, 14, 6), (2, 7, 8, 10))
    logits[2, 0, 0] = torch.nan
    found = propose(logits, torch.tensor([torch.nan, 0.5, 0.7]), EVERYTHING)
    assert found.scores.tolist() == [0.5]
    with pytest.raises(ImageProblem, match="not_a_number"):
        propose(logits, torch.full((3,), torch.nan), EVERYTHING)


@pytest.mark.parametrize("logits", [torch.zeros(0, 10, 15), boxes((0, 0, 0, 0)), boxes((0, 0, 15, 10))])
def test_nothing_is_left(logits):
    found = propose(logits, torch.ones(len(logits)), ProposalsConfig())
    assert not found.masks
    assert found.scores.shape == (0,)


@pytest.mark.parametrize(("height", "width"), [(1, 5000), (5000, 1), (1, 1)])
def test_images_of_any_shape(height, width):
    found = propose(boxes((0, 0, 7, 10)), torch.ones(1), EVERYTHING, height, width)
    assert found.masks.size == (height, width)
    assert all(found.masks.areas > 0)


def test_confidence_is_the_mean_probability_inside():
    logits = torch.tensor([[[2.0, 1.0], [-1.0, -3.0]], [[-1.0, -1.0], [-1.0, -1.0]]])
    expected = (1 / (1 + np.exp(-2)) + 1 / (1 + np.exp(-1))) / 2
    assert mask_confidence(logits[None], 0.5)[0].tolist() == pytest.approx([expected, 0])
    assert mask_confidence(logits[None], 0.8)[0, 0].item() == pytest.approx(1 / (1 + np.exp(-2)))
