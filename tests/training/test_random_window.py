"""The windows are torchvision's, number for number."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import RandomResizedCrop

from pipeline.training.random_window import RATIO, random_window


def by_torchvision(width: int, height: int, min_scale: float, seed: int) -> tuple[int, int, int, int]:
    torch.manual_seed(seed)
    top, left, h, w = RandomResizedCrop.get_params(torch.empty(1, height, width), [min_scale, 1.0], list(RATIO))
    return left, top, left + w, top + h


@given(st.integers(1, 700), st.integers(1, 700), st.floats(0.01, 1), st.integers(0, 2**64 - 1))
@settings(deadline=None, max_examples=200)
def test_any_box_scale_and_seed(width, height, min_scale, seed):
    assert random_window(width, height, min_scale, seed) == by_torchvision(width, height, min_scale, seed)


@pytest.mark.parametrize("min_scale", [0.9, 0.2])
def test_thousands_of_seeds(min_scale):
    """Of boxes in which most attempts succeed, and of those in which few do."""
    numbers = random.Random(0)
    attempts = 0
    for _ in range(2000):
        width = numbers.randint(1, 640)
        box = width, max(1, round(width * numbers.uniform(0.6, 1.6)))
        seed = numbers.getrandbits(64)
        found = random_window(*box, min_scale, seed)
        assert found == by_torchvision(*box, min_scale, seed)
        attempts += found not in ((0, 0, *box), random_window(*box, min_scale, seed + 1))
    assert attempts > 500, "not the central part alone"


@pytest.mark.parametrize(("width", "height", "window"), [(200, 20, (86, 0, 113, 20)), (20, 200, (0, 86, 20, 113))])
def test_elongated_boxes_give_their_central_part(width, height, window):
    assert {random_window(width, height, 0.9, seed) for seed in range(20)} == {window}


def test_the_global_generator_stays_where_it_is():
    torch.manual_seed(1)
    random_window(30, 40, 0.9, 5)
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(1))
