"""The part of WordNet that ships, against facts that were looked up by hand, and how it is built."""

import pytest

from pipeline.negatives import build_graph
from pipeline.negatives.noun_graph import NounGraph, noun_graph

SIBLINGS = [  # and what they share
    ("bus", "train"),  # public transport
    ("dog", "wolf"),  # canine
    ("dog", "cat"),  # carnivore
    ("cat", "lion"),  # feline
    ("horse", "zebra"),  # equine
    ("table", "bed"),  # furniture
    ("chair", "bench"),  # seat
    ("car", "truck"),  # motor vehicle
    ("truck", "motorcycle"),  # motor vehicle
    ("hand", "foot"),  # extremity
    ("guitar", "violin"),  # stringed instrument
    ("bathroom", "kitchen"),  # room
    ("apple", "banana"),  # edible fruit
    ("giraffe", "deer"),  # ruminant
    ("sheep", "goat"),  # bovid
    ("shirt", "coat"),  # garment
    ("pizza", "soup"),  # dish
    ("fork", "spoon"),  # cutlery
    ("refrigerator", "oven"),  # home appliance
    ("elephant", "bear"),  # placental
]
NO_SIBLINGS = [
    ("couch", "sofa"),  # synonyms
    ("dog", "poodle"),  # a kind
    ("furniture", "table"),  # a kind
    ("table", "furniture"),
    ("bus", "banana"),
    ("bat", "mouse"),  # captions mean the one for baseball
    ("glass", "ice"),  # captions mean the vessel
    ("dog", "object"),
]


@pytest.mark.parametrize(("noun", "other"), SIBLINGS)
def test_siblings(noun, other):
    assert other in {sibling.noun for sibling in noun_graph().siblings(noun)}
    assert noun in {sibling.noun for sibling in noun_graph().siblings(other)}


@pytest.mark.parametrize(("noun", "other"), NO_SIBLINGS)
def test_no_siblings(noun, other):
    assert other not in {sibling.noun for sibling in noun_graph().siblings(noun)}


@pytest.mark.parametrize(
    ("noun", "known"),
    [
        ("dogs", "dog"),
        ("buses", "bus"),
        ("cherries", "cherry"),
        ("knives", "knife"),
        ("fishermen", "fisherman"),
        ("picnic table", "table"),
        ("dining tables", "dining table"),
        ("stop sign", "sign"),
        ("xqzw", None),
        ("", None),
        ("собака", None),
    ],
)
def test_forms_that_are_known(noun, known):
    assert noun_graph().known(noun) == known


def test_the_nearest_come_first():
    siblings = noun_graph().siblings("bus")
    distances = {sibling.noun: sibling.distance for sibling in siblings}
    assert distances["train"] == 1
    assert distances["tram"] == 2
    assert [sibling.distance for sibling in siblings] == sorted(distances.values())


LINES = [
    "thing:1\t",  # 0
    "tool:1\t0",  # 1
    "knife:1\t1",
    "saw:1,fretter:2-\t1",
    "penknife:1\t2",
    "food:1\t0",  # 5
    "bread:1\t5",
    "saw:2\t5",
]


def test_senses_and_lists():
    graph = NounGraph(LINES, {}, [], [])
    # Of "saw" the first sense, of "fretter" none; "bread" is as far from both, by way of "thing".
    assert [(sibling.noun, sibling.distance) for sibling in graph.siblings("knife")] == [
        ("saw", 1),
        ("bread", 2),
        ("food", 2),
    ]
    graph = NounGraph(LINES, {}, [], ["thing"])
    assert [sibling.noun for sibling in graph.siblings("knife")] == ["saw"]
    assert graph.siblings("bread") == []
    assert [sibling.noun for sibling in NounGraph(LINES, {"saw": 2}, [], ["thing"]).siblings("bread")] == ["saw"]
    assert NounGraph(LINES, {"saw": 0}, [], []).siblings("saw") == []
    assert NounGraph(LINES, {}, ["saw"], ["thing"]).siblings("knife") == []
    assert NounGraph(LINES, {}, [], ["tool", "thing"]).siblings("knife") == []


def test_what_may_name_the_same_thing():
    graph = NounGraph(LINES, {}, [], [])
    line = graph.line_of(["knives", "xqzw"])
    assert [noun in line for noun in ("knife", "penknife", "tool", "thing")] == [True] * 4
    assert [noun in line for noun in ("saw", "bread", "unknown")] == [False] * 3
    assert "bread" not in graph.line_of(["saw"])
    assert "food" in graph.line_of(["saw"])  # in its other sense
    assert graph.is_below("penknife", "tool")
    assert not graph.is_below("bread", "tool")
    assert not graph.is_below("xqzw", "tool")


def test_the_graph_is_built_of_what_captions_name(tmp_path):
    data = """  1 licence
00000010 03 n 01 physical_entity 0 000 | all
00000020 03 n 02 animal 0 beast 0 001 @ 00000010 n 0000 | living
00000030 05 n 02 dog 0 domestic_dog 0 002 @ 00000020 n 0000 ~ 00000040 n 0000 | barks
00000040 05 n 01 Lassie 0 001 @i 00000030 n 0000 | a name
00000050 05 n 01 cat 0 001 @ 00000020 n 0000 | does not
00000060 09 n 01 idea 0 000 | no thing
00000070 05 n 01 Persian 0 001 @ 00000050 n 0000 | written with a capital
"""
    index = """  1 licence
animal n 1 1 @ 1 0 00000020
beast n 1 1 @ 1 0 00000020
cat n 2 1 @ 2 1 00000060 00000050
dog n 1 1 @ 1 0 00000030
domestic_dog n 1 1 @ 1 0 00000030
idea n 1 0 1 0 00000060
persian n 1 1 @ 1 0 00000070
"""
    (tmp_path / "data.noun").write_text(data)
    (tmp_path / "index.noun").write_text(index)
    (tmp_path / "cntlist.rev").write_text("cat%1:05:00:: 2 3\nbeast%1:03:00:: 1 1\ncat%2:05:00:: 1 9\n")
    lines = build_graph.build(tmp_path, {"dog", "idea", "persian"})
    assert lines == ["\t", "beast:1-\t0", "dog:1\t1", "cat:2-\t1"]
