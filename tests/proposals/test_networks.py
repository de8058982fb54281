"""Batches of images of one size, and the size at which a network sees an image."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.proposals.networks import Batches, resized


def images_of(*sizes: tuple[int, int]) -> list[np.ndarray]:
    return [np.full((height, width, 3), number, np.uint8) for number, (height, width) in enumerate(sizes)]


class Recorder:
    """Returns the number that an image is filled with; remembers the batches; fails above a size."""

    def __init__(self, most: int = 100):
        self.batches, self._most = [], most

    def __call__(self, images: list[np.ndarray]) -> list[int]:
        if len(images) > self._most:
            raise torch.OutOfMemoryError("out of memory")
        self.batches.append([image.shape[:2] for image in images])
        return [int(image[0, 0, 0]) for image in images]


def test_batches_hold_images_of_one_size_and_results_come_in_order():
    forward = Recorder()
    assert Batches(2).run(images_of((4, 6), (6, 4), (4, 6), (4, 6), (6, 4)), forward) == [0, 1, 2, 3, 4]
    assert sorted(map(len, forward.batches)) == [1, 2, 2]
    assert all(len(set(batch)) == 1 for batch in forward.batches)


def test_when_memory_does_not_suffice_batches_are_halved_for_good_and_it_is_said_once(caplog):
    batches, forward = Batches(8), Recorder(most=3)
    assert batches.run(images_of(*[(4, 6)] * 11), forward) == list(range(11))
    assert [len(batch) for batch in forward.batches] == [2, 2, 2, 2, 2, 1]
    assert batches.size == 2
    said = len(caplog.records)
    assert "going on with 2" in caplog.text
    batches.run(images_of(*[(4, 6)] * 5), forward)
    assert len(caplog.records) == said


def test_memory_that_does_not_suffice_for_one_image_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        Batches(4).run(images_of((4, 6), (4, 6)), Recorder(most=0))


def test_no_images():
    assert Batches(4).run([], Recorder()) == []


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match="RGB"):
        Batches(4).run([np.zeros((4, 4), np.uint8)], Recorder())


@given(st.integers(1, 6000), st.integers(1, 6000))
def test_resizing_keeps_the_aspect_within_the_sides(height, width):
    new_height, new_width = resized(height, width, 640, 2560)
    assert min(new_height, new_width) <= 640
    assert 1 <= max(new_height, new_width) <= 2560
    assert min(new_height, new_width) == 640 or max(new_height, new_width) == 2560
    scale = new_height / height if height > width else new_width / width
    assert abs(new_height - scale * height) <= 1
    assert abs(new_width - scale * width) <= 1


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 640), (640, 853)), ((427, 640), (640, 959)), ((100, 1000), (256, 2560))]
)
def test_sizes_of_detectron2(size, expected):
    """As `ResizeShortestEdge.get_output_shape(h, w, 640, 2560)` returns them."""
    assert resized(*size, 640, 2560) == expected
