"""Classes beside the pairs that name them."""

import pytest

from pipeline.differences.classes import class_changes, sign_agreement, singular


def noun(name: str, a: int, b: int) -> dict:
    return {"noun": name, "pairs_a": a, "pairs_b": b}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Traffic lights", "traffic light"),
        ("bus", "bus"),
        ("flowers", "flower"),
        ("dining_table", "dining table"),
        ("wall-brick", "wall brick"),
        ("  ", ""),
        ("<script>", "<script>"),
    ],
)
def test_a_name_in_the_singular(name, expected):
    assert singular(name) == expected


def test_classes_and_the_pairs_that_name_them():
    classes = [("dog", "hound"), ("traffic light",), ("sky",), ("unseen",)]
    nouns = [
        noun("dogs", 1, 5),
        noun("hound", 2, 2),
        noun("traffic light", 9, 3),
        noun("sky", 4, 4),
        noun("hot dog", 7, 7),
    ]
    ious_a, ious_b = {0: 0.2, 1: 0.5, 2: 0.3}, {0: 0.4, 1: 0.6, 2: 0.1, 3: 0.5}
    changes = class_changes(classes, ious_a, ious_b, nouns)
    assert [(change.name, change.nouns, change.pairs_a, change.pairs_b) for change in changes] == [
        ("sky", ("sky",), 4, 4),
        ("traffic light", ("traffic light",), 9, 3),
        ("dog", ("dogs", "hound"), 3, 7),
    ]
    assert [round(change.gain, 6) for change in changes] == [-0.2, 0.1, 0.2]
    # dog gained both, traffic light gained IoU and lost pairs, sky has as many pairs.
    found = sign_agreement(changes)
    assert (found.alike, found.changed) == (1, 2)
