"""The folds of a dataset's images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.folds import fold_of
from pipeline.training.samples import is_held_out

IMAGES = [f"{number:012d}" for number in range(4000)]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 50))
def test_a_fold_is_below_their_number_and_always_the_same(image_id, folds):
    assert 0 <= fold_of(image_id, folds) < folds
    assert fold_of(image_id, folds) == fold_of(image_id, folds)


def test_the_folds_never_change():
    """Datasets and CLIPs that lie somewhere were made with them."""
    assert [fold_of(image, 2) for image in IMAGES[:16]] == [int(digit) for digit in "0001011011000011"]


@pytest.mark.parametrize("folds", [1, 2, 3, 7])
def test_folds_are_even(folds):
    counts = np.bincount([fold_of(image, folds) for image in IMAGES], minlength=folds)
    assert counts.sum() == len(IMAGES)
    expected = len(IMAGES) / folds
    assert (abs(counts - expected) <= 4 * np.sqrt(expected)).all()


def test_folds_know_nothing_of_what_is_held_out():
    held_out = [image for image in IMAGES if is_held_out(image, 0.3)]
    share = np.mean([fold_of(image, 2) for image in held_out])
    assert abs(share - 0.5) < 4 * np.sqrt(0.25 / len(held_out))


def test_no_folds():
    with pytest.raises(ValueError, match="0 folds"):
        fold_of("image", 0)
