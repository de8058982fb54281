"""Long lists in messages."""

import pytest

from pipeline.escaping.enumeration import first_of


@pytest.mark.parametrize(
    ("items", "most", "text"),
    [
        ([], 3, ""),
        (["a"], 3, "a"),
        (["a", "b", "c"], 3, "a, b, c"),
        (["a", "b", "c", "d"], 3, "a, b, c and 1 more"),
        (range(20), 2, "0, 1 and 18 more"),
    ],
)
def test_the_first_are_named_and_the_others_counted(items, most, text):
    assert first_of(items, most) == text
    assert first_of(items, most, separator="; ") == text.replace(", ", "; ")
