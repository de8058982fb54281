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


def test_in_a_text_commas_separate_classes_and_slashes_synonyms():
    assert parse_classes(" dog, sofa/couch / settee,fire hydrant,") == [
        ("dog",),
        ("sofa", "couch", "settee"),
        ("fire hydrant",),
    ]
    assert parse_classes("dog") == [("dog",)]
    assert parse_classes(["and/or"]) == [("and/or",)]  # a list has synonyms behind commas


def test_what_was_parsed_can_be_written_as_a_list():
    for classes in ("dog, sofa/couch", ["door, double door", "and/or"]):
        parsed = parse_classes(classes)
        assert parse_classes([", ".join(names) for names in parsed]) == parsed


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "classes: no classes"),
        (" , ", "classes: no classes"),
        (", dog", "class 1, '', has an empty name; commas between classes"),
        ("dog,, cat", "class 2, '', has an empty name"),
        ("dog, sofa//couch", "class 2, ' sofa//couch', has an empty name"),
        ("dog/hound, dog", "two classes are called 'dog'"),
        ("[dog, 'sofa", r"classes: \"\[dog, 'sofa\" is not a list in YAML"),
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
