"""Runs of upsampled soft masks against the upsampled masks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.masks import upsampling
from pipeline.masks.masks import Masks
from pipeline.masks.rle_writing import encode_runs
from pipeline.masks.soft import binarize, encode, logit, runs_of, upsampled_bands
from pipeline.masks.upsampling import upsampled_runs

SIDES = st.integers(1, 9)


def interpolated(logits: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Every pixel, float32 [Q,H,W], interpolated along the row, then down the column."""
    for axis, pixels in ((2, width), (1, height)):
        values = logits.shape[axis]
        centres = (torch.arange(pixels, dtype=torch.float32) + 0.5) * (values / pixels) - 0.5
        centres = centres.clamp(0, values - 1)
        before = centres.long()
        shape = [1, -1, 1] if axis == 1 else [1, 1, -1]
        pair = (logits.index_select(axis, index) for index in (before, (before + 1).clamp(max=values - 1)))
        logits = torch.lerp(*pair, (centres - before).view(shape))
    return logits


def pixels(logits: torch.Tensor, height: int, width: int, level: float) -> np.ndarray:
    return Masks.of_runs(list(upsampled_runs(logits, height, width, level)), height, width).decode().astype(bool)


@st.composite
def soft_masks(draw: st.DrawFn) -> torch.Tensor:
    shape = draw(st.tuples(st.integers(0, 3), SIDES, SIDES))
    values = st.one_of(st.floats(-9, 9, width=32), st.sampled_from([-1.0, 0.0, 1.0]))
    return torch.from_numpy(draw(hnp.arrays(np.float32, shape, elements=values)))


@given(soft_masks(), st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.0, 0.75, -0.3]))
@settings(deadline=None, max_examples=200)
def test_pixels_are_those_of_interpolation(logits, height, width, level):
    # Where rounding decides, the order in which a row and a column are interpolated may tell.
    values = interpolated(logits, height, width)
    found = pixels(logits, height, width, level)
    clear = ((values - level).abs() > 1e-5).numpy()
    assert (found == (values > level).numpy())[clear].all()


@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 3), SIDES, SIDES), elements=st.integers(-8, 8)), st.integers(0, 3))
@settings(deadline=None)
def test_pixels_on_the_level_are_outside(values, octaves):
    # Where the size is a power of two times that of the mask, all of it is exact.
    logits, size = torch.from_numpy(values.astype(np.float32)), [side << octaves for side in values.shape[1:]]
    assert (pixels(logits, *size, 1.0) == (interpolated(logits, *size) > 1).numpy()).all()


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("size", [(480, 640), (333, 217), (40, 61), (30, 20)])
@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_masks_of_a_network_are_those_of_torch(smooth, size, threshold):
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 3, (9, 40, 60)).astype(np.float32))
    if smooth:
        logits = 9 * F.avg_pool2d(logits, 7, stride=1, padding=3)
    found = binarize(logits, *size, threshold)
    level = logit(threshold)
    values = F.interpolate(logits[None], size, mode="bilinear")[0] if size[0] >= 40 else interpolated(logits, *size)
    different = found.decode().astype(bool) != (values > level).numpy()
    assert ((values - level).abs().numpy()[different] < 1e-5).all()
    assert different.mean() < 1e-5
    assert found.areas.tolist() == found.decode().sum(axis=(1, 2)).tolist()
    assert found.boxes().tolist() == Masks(found.rles, *size).boxes().tolist()


def test_bands_give_the_same_pixels():
    logits = torch.from_numpy(np.random.default_rng(1).normal(0, 3, (5, 20, 30)).astype(np.float32))
    bands = [band > 0.2 for _, band in upsampled_bands(logits, 160, 200)]
    different = pixels(logits, 160, 200, 0.2) != torch.cat(bands, dim=1).numpy()
    assert different.mean() < 1e-5


def test_half_precision():
    logits = torch.from_numpy(np.random.default_rng(2).normal(0, 3, (3, 12, 10))).half()
    assert (pixels(logits, 48, 40, 0.1) == pixels(logits.float(), 48, 40, 0.1)).all()


@pytest.mark.parametrize("most", [1, 300, 2000])
def test_many_masks_are_worked_on_in_parts(monkeypatch, most):
    logits = torch.from_numpy(np.random.default_rng(3).normal(0, 3, (7, 12, 10)).astype(np.float32))
    whole = [*upsampled_runs(logits, 50, 41, 0)]
    monkeypatch.setitem(upsampling._PIXELS, "cpu", most)
    parts = [*upsampled_runs(logits, 50, 41, 0)]
    assert len(whole) == 1
    assert len(parts) > 1
    assert Masks.of_runs(parts, 50, 41) == Masks.of_runs(whole, 50, 41)


@given(hnp.arrays(bool, st.tuples(st.integers(0, 4), SIDES, SIDES)))
@settings(deadline=None)
def test_runs_of_binary_masks_found_by_torch_are_cocos(masks_QHW):
    found = encode_runs(runs_of(torch.from_numpy(masks_QHW)))
    assert found == encode(torch.from_numpy(masks_QHW)) == list(Masks.encode(masks_QHW))
