"""Our graph-based segmentation against scikit-image's."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from skimage.segmentation import felzenszwalb as reference

from pipeline.proposals import graph_segmentation
from pipeline.proposals.graph_segmentation import felzenszwalb
from pipeline.proposals.pixel_edges import first_of_pairs

SCALES = [(30.0, 20), (100.0, 5), (300.0, 60)]


def check(image: np.ndarray, scales=SCALES, sigma: float = 0.8) -> None:
    found = felzenszwalb(image, scales, sigma)
    for labels, (scale, min_size) in zip(found, scales, strict=True):
        np.testing.assert_array_equal(labels, reference(image, scale=scale, sigma=sigma, min_size=min_size))


def noise(height: int, width: int, colours: int) -> np.ndarray:
    """Colours in the whole range, few or many: few make many edges of one weight."""
    values = np.random.default_rng(colours).integers(0, colours, (height, width, 3))
    return (values * (255 // (colours - 1))).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3))),
    st.lists(st.tuples(st.sampled_from([1.0, 30.0, 1000.0]), st.integers(0, 40)), min_size=1, max_size=3),
    st.sampled_from([0.3, 0.8, 2.0]),
)
def test_labels_of_any_small_image_are_those_of_scikit_image(image, scales, sigma):
    check(image, scales, sigma)


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (2, 300), (300, 2), (61, 83)])
@pytest.mark.parametrize("colours", [2, 3, 256])
def test_labels_of_noise_are_those_of_scikit_image(size, colours):
    check(noise(*size, colours))


def test_labels_of_flat_and_of_rising_colours_are_those_of_scikit_image():
    rows, columns = np.mgrid[:120, :160]
    check(np.full((120, 160, 3), 77, np.uint8))
    check((rows + columns)[..., None].repeat(3, axis=2).astype(np.uint8))
    # Each edge a little heavier than the one before: one component takes in pixel after pixel.
    check(np.minimum(columns**2 // 100, 255)[..., None].repeat(3, axis=2).astype(np.uint8))
    check(np.stack([rows * columns % 251, rows**2 % 256, columns**2 % 256], axis=2).astype(np.uint8))


def test_labels_are_the_same_edge_by_edge(monkeypatch):
    """As an image is segmented whose rounds make no progress."""
    monkeypatch.setattr(graph_segmentation, "_FEW_EDGES", math.inf)
    check(noise(61, 83, 3))
    check(noise(61, 83, 256))
    check(noise(61, 83, 256) // 32)


def test_labels_of_photographs_are_those_of_scikit_image(coco_sample):
    for path in sorted((coco_sample / "images").glob("*.jpg"))[::30]:
        with Image.open(path) as image:
            image.thumbnail((200, 200))
            check(np.asarray(image.convert("RGB")))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=60))
def test_the_first_of_equal_pairs_stays(pairs):
    low, high = np.array(pairs, np.int64).reshape(-1, 2).T
    kept = first_of_pairs(low, high).tolist()
    first = {}
    for index, pair in enumerate(pairs):
        first.setdefault(frozenset(pair), index)
    assert set(first.values()) <= set(kept)
    assert kept == sorted(kept)
