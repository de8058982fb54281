"""Marks beside the fields of a configuration."""

from typing import Annotated

from pipeline.configuration.markers import AbsentMeans


def test_a_mark_whose_value_is_a_list_can_be_part_of_a_type():
    """Parsers of command lines keep types in dictionaries."""
    first, again = (list[Annotated[str, AbsentMeans([])]] for _ in range(2))
    assert hash(first) == hash(again)
    assert first == again
    assert AbsentMeans([]) != AbsentMeans(["other"])
