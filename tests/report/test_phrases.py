"""Pages of datasets whose images have several phrases of a noun: what a pair is called, and which masks nouns share."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.quality.columns import PairColumns
from pipeline.report.dataset.content import recipe
from pipeline.report.dataset.gallery import texts
from pipeline.report.dataset.reading import Pairs
from pipeline.report.dataset.shared import couples, find_shared
from pipeline.report.named_text import marked_caption, named_text

CAPTION = "𝒜 red bus 🚌 by a tree"
ROW = {"key": "000000-00000-000", "image_id": "1", "image_uri": "", "caption": CAPTION, "noun": "bus"}


@pytest.mark.parametrize(
    ("phrase", "text", "caption"),
    [
        ({"phrase": "red bus", "phrase_start": 2, "phrase_end": 9}, "red bus", ["𝒜 ", "red bus", " 🚌 by a tree"]),
        ({"phrase": "", "phrase_start": -1, "phrase_end": -1}, "bus", ["𝒜 red ", "bus", " 🚌 by a tree"]),
        ({}, "bus", ["𝒜 red ", "bus", " 🚌 by a tree"]),
    ],
)
def test_a_pair_is_called_by_its_phrase_where_it_has_one(phrase: dict, text: str, caption: list[str]) -> None:
    details = ROW | {"char_start": 6, "char_end": 9} | phrase
    assert named_text(details) == text
    assert list(marked_caption(details)) == caption
    found = texts(details)
    assert (found["noun"], found["text"], found["caption"]) == ("bus", text, caption)


# Image 0: a mask of two phrases of a bus and of a tree, one of a tree alone; image 1: one of two phrases of a bus.
NOUNS, IMAGES, MASKS = [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1], [3, 3, 3, 5, 0, 0]


def test_phrases_of_one_noun_are_no_nouns_that_share_a_mask() -> None:
    zeros: dict[str, Any] = dict.fromkeys(Pairs.__annotations__, np.zeros(6, np.float32))
    columns = {"noun": NOUNS, "image": IMAGES, "proposal": MASKS}
    pairs = Pairs(
        **(zeros | {name: np.array(values, np.int32) for name, values in columns.items()} | {"nouns": ["bus", "tree"]})
    )
    shared = find_shared(pairs)
    assert shared.pairs.tolist() == [3, 3, 3, 1, 2, 2]
    assert shared.nouns.tolist() == [2, 2, 2, 1, 1, 1]
    assert (shared.masks, shared.shared) == (3, 1)
    assert [shared.of(pair).tolist() for pair in (0, 3, 5)] == [[0, 1, 2], [3], [4, 5]]
    assert couples(pairs, shared, 9) == [("bus", "tree", 2)]


def test_phrases_of_one_noun_are_no_rivals_for_a_model_of_quality() -> None:
    score = np.zeros(6, np.float32)
    columns = dict.fromkeys(("noun_margin", "mask_margin", "area", "proposal_score"), score)
    pairs = PairColumns(
        (0,),
        ("",),
        np.array([0, 6]),
        pa.chunked_array([list("abcdef")]),
        ("bus", "tree"),
        np.array(NOUNS, np.int32),
        np.array(IMAGES, np.int32),
        score,
        proposal_index=np.array(MASKS, np.float32),
        **columns,
    )
    assert pairs.sharing.tolist() == [2, 2, 2, 1, 1, 1]


@pytest.mark.parametrize("text", [None, "noun", "phrase"])
def test_the_recipe_says_what_was_matched(text: str | None) -> None:
    description = {
        "fingerprint": "0" * 64,
        "configuration": {
            "captions": {"format": "table", "path": "t"},
            "captions_per_image": 1,
            "nouns": {"stop_list": []},
            "proposals": {"backend": "segments"},
            "regions": {"fill": "mean"},
            "clip": {"architecture": "ViT-B-16", "weights": "openai"},
            "matching": {"candidates": 5, "min_score": None} | ({"text": text} if text else {}),
        },
        "models": {"nouns": {"name": "n"}, "proposals": {"name": "p"}, "clip": {"sha256": "0" * 64}},
    }
    lines = dict(recipe(description))
    assert lines["kept"] == "every noun's best mask"
    assert lines.get("matched by") == ("phrase" if text == "phrase" else None)
