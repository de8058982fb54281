"""Label maps as files."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.segmentation import UNLABELLED
from pipeline.segmentation.drawing import class_colours, classes_json, label_png, overlay_jpeg


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_few_classes_are_a_palette_image():
    labels = np.array([[0, 1, UNLABELLED], [254, 2, 0]], np.uint16)
    image = opened(label_png(labels, 255))
    assert image.mode == "P"
    assert np.asarray(image).tolist() == [[0, 1, 255], [254, 2, 0]]
    colours = class_colours(255)
    assert np.asarray(image.convert("RGB"))[1, 0].tolist() == colours[254].tolist()
    assert np.asarray(image.convert("RGB"))[0, 2].tolist() == [0, 0, 0]


def test_many_classes_are_16_bit_grey():
    labels = np.array([[0, 300, UNLABELLED]], np.uint16)
    image = opened(label_png(labels, 847))
    assert image.mode == "I;16"
    assert np.asarray(image).tolist() == [[0, 300, 65535]]


def test_the_classes_of_a_job():
    rows = json.loads(classes_json([("door", "double door"), ("Tür",)]))
    assert [(row["index"], row["names"]) for row in rows] == [(0, ["door", "double door"]), (1, ["Tür"])]
    assert [row["colour"] for row in rows] == ["#{:02x}{:02x}{:02x}".format(*colour) for colour in class_colours(2)]


def test_the_first_hundred_classes_have_different_colours():
    colours = class_colours(100).astype(int)
    distances = np.abs(colours[:, None] - colours).sum(axis=2)
    assert distances[~np.eye(100, dtype=bool)].min() > 0


def test_an_overlay_shows_colours_over_grey_and_leaves_the_unlabelled():
    image = np.full((700, 700, 3), (0, 0, 200), np.uint8)
    labels = np.full((700, 700), UNLABELLED, np.uint16)
    labels[:, 350:] = 1
    overlay = np.asarray(opened(overlay_jpeg(image, labels, [("a",), ("b",)])))
    assert overlay.shape[0] == 700
    assert overlay.shape[1] > 700  # the legend
    grey = round(0.114 * 200)
    expected = 0.45 * grey + 0.55 * class_colours(2)[1].astype(float)
    np.testing.assert_allclose(overlay[50, 600], expected, atol=6)
    np.testing.assert_allclose(overlay[50, 100], image[0, 0], atol=6)


@given(height=st.integers(1, 40), width=st.integers(1, 40), scale=st.sampled_from([1, 60]), classes=st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_overlays_of_any_size_and_number_of_classes(height, width, scale, classes):
    rng = np.random.default_rng(height)
    labels = rng.integers(0, classes + 1, (height, width)).astype(np.uint16).repeat(scale, axis=1)
    labels[labels == classes] = UNLABELLED
    image = np.zeros((*labels.shape, 3), np.uint8)
    overlay = opened(overlay_jpeg(image, labels, [(f"class number {number}",) for number in range(classes)]))
    assert overlay.height <= 1280


@pytest.mark.parametrize("labels", [np.zeros((5, 5), np.uint16), np.full((5, 5), UNLABELLED, np.uint16)])
def test_one_label_everywhere(labels):
    assert opened(overlay_jpeg(np.zeros((5, 5, 3), np.uint8), labels, [("a",)])).size[1] == 640
