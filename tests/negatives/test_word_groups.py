"""Lists of words in groups."""

import pytest

from pipeline.errors import UserError
from pipeline.negatives.word_groups import LIFELESS, LIVING, parse_word_groups, read_word_groups

TEXT = """# Colours
red, scarlet
blue, Navy,  sky   blue
# between
purple, violet, scarlet

@lifeless
new, brand-new
old

@living
young
old, aged
"""


def test_sections_and_groups():
    colours, things, beings = parse_word_groups(TEXT, "list.txt")
    assert colours.groups == [["red", "scarlet"], ["blue", "navy", "sky blue"], ["purple", "violet", "scarlet"]]
    assert [section.about for section in (colours, things, beings)] == [None, LIFELESS, LIVING]
    assert "sky blue" in colours
    assert "old" not in colours
    assert things.groups[1] == ["old"]


def test_words_are_replaced_by_those_of_groups_that_say_something_else():
    colours, things, _ = parse_word_groups(TEXT, "list.txt")
    assert colours.others(["navy"]) == [colours.groups[0], colours.groups[2]]
    assert colours.others(["scarlet"]) == [colours.groups[1]]  # it is in two groups
    assert colours.others(["red", "blue"]) == [colours.groups[2]]
    assert things.others(["brand-new"]) == [["old"]]


def test_a_group_that_begins_with_a_word_alike_replaces_nothing():
    [section] = parse_word_groups("beige, tan\nbrown, tan, beige\nblack", "list.txt")
    assert section.others(["brown"]) == [["black"]]
    assert section.others(["black"]) == section.groups[:2]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("red,, blue", "comma without a word"), ("red, ", "comma without a word"), ("red\n@living\nblue", "@living")],
)
def test_lines_that_cannot_be_read(text, problem):
    with pytest.raises(UserError, match=problem):
        parse_word_groups(text, "list.txt")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"negatives\.kinds: .*absent\.txt"):
        read_word_groups(str(tmp_path / "absent.txt"))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00red")
    with pytest.raises(UserError, match=r"negatives\.kinds: .*binary\.txt"):
        read_word_groups(str(tmp_path / "binary.txt"))
