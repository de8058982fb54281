"""Class names as people write them."""

import pytest

from pipeline.errors import UserError
from pipeline.segmentation import parse_classes


def test_synonyms_are_separated_by_commas():
    lines = ["dog", " door, double door ", "screen, silver screen, screen", "cathode-ray tube, screen", "eau de vie"]
    assert parse_classes(lines) == [
        ("dog",),
        ("door", "double door"),
        ("screen", "silver screen"),
        ("cathode-ray tube", "screen"),
        ("eau de vie",),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "classes: no classes"),
        (["dog", ""], "class 2, '', has an empty name"),
        (["dog,, cat"], "class 1, 'dog,, cat', has an empty name"),
        (["dog", "cat", "dog, hound"], "two classes are called 'dog'"),
        ([f"n{number}" for number in range(65536)], "65536 classes are given; label maps hold at most 65535"),
    ],
)
def test_unusable_lists(lines, message):
    with pytest.raises(UserError, match=message):
        parse_classes(lines)


def test_the_most_classes():
    assert len(parse_classes([f"n{number}" for number in range(65535)])) == 65535


def test_messages_name_the_key():
    with pytest.raises(UserError, match=r"^classes_file: no classes"):
        parse_classes([], "classes_file")
