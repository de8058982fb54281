"""The choice among soft masks against that among their codes."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.masks.masks import Masks
from pipeline.masks.soft import logit
from pipeline.proposals import ProposalsConfig
from pipeline.proposals.filtering import keep
from pipeline.proposals.soft_filtering import choose

SIDES = st.integers(1, 4)
CONFIG = ProposalsConfig(min_area=0.02, max_area=0.9, max_iou=0.6, max_proposals=30)


def expected(logits: torch.Tensor, scores: torch.Tensor, config: ProposalsConfig) -> list[int]:
    """The indices that `keep` gives for the codes of those masks that are numbers."""
    numbers = logits.isfinite().flatten(1).all(dim=1) & scores.isfinite()
    masks = Masks.encode((logits[numbers] > logit(config.mask_threshold)).numpy())
    return numbers.nonzero()[:, 0][torch.from_numpy(keep(masks, scores[numbers].numpy(), config))].tolist()


def blobs(count: int, seed: int, height: int = 20, width: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    """Soft masks of which many are alike, and scores of which some are equal."""
    rng = np.random.default_rng(seed)
    noise = torch.from_numpy(rng.normal(0, 9, (max(count // 5, 1), height, width)).astype(np.float32))
    smooth = F.avg_pool2d(noise, 9, stride=1, padding=4)[rng.integers(0, len(noise), count)]
    near = torch.from_numpy(rng.normal(0, 0.5, smooth.shape).astype(np.float32))
    return smooth + near, torch.from_numpy(rng.integers(0, 40, count).astype(np.float32))


@settings(deadline=None)
@given(
    hnp.arrays(
        np.int8, st.tuples(st.integers(0, 6), st.integers(1, 4), st.integers(1, 4)), elements=st.integers(-1, 1)
    ),
    st.data(),
)
def test_one_image(values, data):
    logits = torch.from_numpy(values.astype(np.float32))
    scores = torch.tensor(data.draw(st.lists(st.integers(0, 3), min_size=len(logits), max_size=len(logits)))).float()
    config = ProposalsConfig(
        min_area=data.draw(st.sampled_from([0.0, 0.2])),
        max_area=data.draw(st.sampled_from([0.5, 1.0])),
        max_iou=data.draw(st.sampled_from([0.3, 0.5, 1.0])),
        max_proposals=data.draw(st.sampled_from([1, 4, 100])),
    )
    [choice] = choose(logits[None], scores[None], config)
    assert choice.kept.tolist() == expected(logits, scores, config)


@pytest.mark.parametrize("count", [100, 256, 257, 900])
def test_hundreds_of_masks(count):
    logits, scores = blobs(count, seed=count)
    [choice] = choose(logits[None], scores[None], CONFIG)
    assert choice.kept.tolist() == expected(logits, scores, CONFIG)
    assert 5 < len(choice.kept) <= 30
    everything = dataclasses.replace(CONFIG, max_proposals=count)
    assert choose(logits[None], scores[None], everything)[0].kept.tolist() == expected(logits, scores, everything)


@pytest.mark.parametrize("count", [30, 300])
def test_masks_that_are_not_numbers(count):
    logits, scores = blobs(count, seed=1)
    scores[3], scores[4] = torch.nan, torch.inf
    logits[7, 2, 2], logits[8, 0, 0], logits[9, 0, 0] = torch.nan, torch.inf, -torch.inf
    [choice] = choose(logits[None], scores[None], CONFIG)
    assert np.flatnonzero(~choice.numbers).tolist() == [3, 4, 7, 8, 9]
    assert choice.kept.tolist() == expected(logits, scores, CONFIG)


@pytest.mark.parametrize("count", [40, 300])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_images_of_a_batch_are_chosen_from_apart(count, dtype):
    images = [blobs(count, seed) for seed in (2, 3, 4)]
    logits, scores = (torch.stack(parts).to(dtype) for parts in zip(*images, strict=True))
    choices = choose(logits, scores, CONFIG)
    assert [choice.kept.tolist() for choice in choices] == [
        expected(*image, CONFIG) for image in zip(logits, scores.float(), strict=True)
    ]
    assert [choice.scores.tolist() for choice in choices] == scores.float().tolist()
