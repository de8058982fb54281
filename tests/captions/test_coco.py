"""COCO Captions as other programs write them: what can be read is, what cannot is counted."""

import gzip
import json
import math
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captions import CaptionsConfig, open_captions
from pipeline.errors import UserError
from schemas import LISTING


def rows_of(folder: Path, document: object, images: bool = True) -> list[dict]:
    """The rows of a document (or of the text or bytes of one), in a folder that is also `captions.images`."""
    path = folder / "captions.json"
    if isinstance(document, bytes):
        path.write_bytes(document)
    else:
        path.write_text(document if isinstance(document, str) else json.dumps(document))
    config = CaptionsConfig("coco", str(path), images=str(folder) if images else None)
    return pa.Table.from_batches(open_captions(config).batches(), LISTING).to_pylist()


def short(rows: list[dict]) -> list[tuple]:
    return [(row["image_id"], row["captions"], row["problem"]) for row in rows]


def image(image_id: object, name: object = "a.jpg", **more: object) -> dict:
    return {"id": image_id, "file_name": name, **more}


def caption(image_id: object, text: object, **more: object) -> dict:
    return {"image_id": image_id, "caption": text, **more}


def test_ids_are_compared_as_text(tmp_path):
    images = [image("b"), image(10), image("9"), image(2.0), image("1")]
    captions = [
        caption(9, "nine"),
        caption("10.0", "ten"),  # as pandas writes a column of ids that has gaps
        caption(" 2", "two"),
        caption(1.0, "one"),
        caption("b", "b"),
    ]
    assert short(rows_of(tmp_path, {"images": images, "annotations": captions})) == [
        ("1", ["one"], None),
        ("2", ["two"], None),
        ("9", ["nine"], None),
        ("10", ["ten"], None),
        ("b", ["b"], None),
    ]


def test_ids_that_differ_in_their_type_alone_are_listed_twice(tmp_path):
    images = [image(1, "first.jpg"), image("1", "second.jpg"), image(1.0, "third.jpg")]
    rows = rows_of(tmp_path, {"images": images, "annotations": [caption("1", "one")]})
    assert short(rows) == [("1", ["one"], None), ("1", [], "listed_twice"), ("1", [], "listed_twice")]
    assert [Path(row["image_uri"]).name for row in rows] == ["first.jpg", "second.jpg", "third.jpg"]


@pytest.mark.parametrize("size", [-1, 0, "640", 640.5, None, True, [], 2**40, float("nan")])
def test_sizes_that_are_none_are_unknown(tmp_path, size):
    [row] = rows_of(tmp_path, {"images": [image(1, width=size, height=480)], "annotations": []})
    assert (row["width"], row["height"], row["problem"]) == (None, 480, None)


def test_a_caption_that_cannot_be_used_costs_itself(tmp_path):
    captions = [caption(1, "good"), caption(1, None), caption(1, float("nan")), {"image_id": 1}, caption(1, ["a"])]
    rows = short(rows_of(tmp_path, {"images": [image(1)], "annotations": [*captions, 7, caption(None, "whose"), None]}))
    assert rows == [
        ("", [], "bad_record"),
        ("", ["whose"], "bad_id"),
        ("", [], "bad_record"),
        ("1", ["good"], None),
        ("1", [], "null_caption"),
        ("1", [], "null_caption"),
        ("1", [], "null_caption"),
        ("1", [], "bad_caption"),
    ]


def test_captions_that_are_lists_as_text(tmp_path):
    texts = ['["one", "two"]', "['three']", "[removed]", '["four", null]', "[]", '{"raw": "five"}', '["six", 7]']
    captions = [caption(1, text, id=number) for number, text in enumerate(texts)]
    assert short(rows_of(tmp_path, {"images": [image(1)], "annotations": captions})) == [
        ("1", ["one", "two", "three", "[removed]", "four"], None),
        ("1", [], "null_caption"),
        ("1", [], "null_caption"),
        ("1", [], "bad_caption"),
        ("1", [], "bad_caption"),
    ]


def test_an_image_that_cannot_be_used_costs_itself(tmp_path):
    images = [image(1), 3, {"file_name": "b.jpg"}, image({}), image(True), {"id": 5}, image(6, None), image(7, 8)]
    rows = rows_of(tmp_path, {"images": images, "annotations": [caption(1, "good"), caption(6, "of none")]})
    assert short(rows) == [
        ("", [], "bad_record"),
        ("", [], "bad_id"),
        ("", [], "bad_id"),
        ("", [], "bad_id"),
        ("1", ["good"], None),
        ("5", [], "null_image"),
        ("6", ["of none"], "null_image"),
        ("7", [], "null_image"),
    ]


def test_annotations_without_an_id_keep_their_order_after_those_with_one(tmp_path):
    captions = [
        caption(1, "c"),
        caption(1, "a", id=3),
        caption(1, "d"),
        caption(1, "b", id="x"),
        caption(1, "first", id="2"),
    ]
    assert short(rows_of(tmp_path, {"images": [image(1)], "annotations": captions})) == [
        ("1", ["first", "a", "b", "c", "d"], None)
    ]


def test_captions_of_unlisted_images_cost_themselves(tmp_path):
    captions = [caption(1, "good"), caption(2, "lost"), caption("2", "lost too"), caption(2, None), caption("z", None)]
    assert short(rows_of(tmp_path, {"images": [image(1)], "annotations": captions})) == [
        ("1", ["good"], None),
        ("2", ["lost", "lost too"], "unknown_image"),
        ("2", [], "null_caption"),
        ("z", [], "null_caption"),
    ]


def test_file_name_and_address_stand_in_for_each_other(tmp_path):
    url, web = "https://host/1.jpg", {"coco_url": "https://host/1.jpg"}
    images = [{"id": 1} | web, image(2, "", **web), image(3, "a.jpg", **web), image(4, "/data/b.jpg", coco_url="")]
    document = {"images": images, "annotations": []}
    assert [row["image_uri"] for row in rows_of(tmp_path, document)] == [url, url, f"{tmp_path}/a.jpg", "/data/b.jpg"]
    document["images"].append(image(5, "c.jpg"))
    rows = rows_of(tmp_path, document, images=False)
    assert [row["image_uri"] for row in rows] == [url, url, url, "/data/b.jpg", "c.jpg"]
    assert [row["problem"] for row in rows] == [None, None, None, None, "relative_path"]


def test_addresses_that_nobody_should_open_cost_their_image(tmp_path):
    names = ["a.jpg", "reference://x::http://host/r.json", "ftp://host/a.jpg", "../a.jpg", "https://u:pass@host/a.jpg"]
    images = [image(number, name) for number, name in enumerate(names)]
    rows = rows_of(tmp_path, {"images": images, "annotations": []})
    assert [row["problem"] for row in rows] == [None, *["refused_address"] * 3, "secret_in_address"]
    assert rows[-1]["image_uri"] == "https://…@host/a.jpg"


def test_names_on_the_web_are_escaped(tmp_path):
    path = tmp_path / "captions.json"
    path.write_text(json.dumps({"images": [image(1, "50% [a]?#.jpg")], "annotations": []}))
    config = CaptionsConfig("coco", str(path), images="https://host/images")
    [row] = pa.Table.from_batches(open_captions(config).batches(), LISTING).to_pylist()
    assert row["image_uri"] == "https://host/images/50%25 [a]%3F%23.jpg"


LONG = "9" * 5000


@pytest.mark.parametrize(
    "document",
    [
        b'\xef\xbb\xbf{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}',
        b'{"images": [{"id": 1, "file_name": "a.jpg", "width": %b}], "annotations": []}' % LONG.encode(),
        b'{"images": [{"id": 1, "file_name": "a.jpg", "width": NaN, "height": -Infinity}], "annotations": []}',
        b'{"images": [{"id": 1, "file_name": "a.jpg", "file_name": "b.jpg"}], "annotations": []}',
        gzip.compress(b'{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}', mtime=0),
    ],
)
def test_documents_that_are_odd_and_can_be_read(tmp_path, document):
    assert short(rows_of(tmp_path, document)) == [("1", [], None)]


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UserError, match=r"^captions\.path: .* is a folder"):
        open_captions(CaptionsConfig("coco", str(tmp_path), images=str(tmp_path)))


def test_an_id_of_any_length_is_an_id(tmp_path):
    document = (
        f'{{"images": [{{"id": {LONG}, "file_name": "a"}}], "annotations": [{{"image_id": {LONG}, "caption": "a"}}]}}'
    )
    assert short(rows_of(tmp_path, document)) == [(LONG, ["a"], None)]


def test_a_file_in_which_nothing_belongs_together_is_refused(tmp_path):
    document = {"images": [image(1), image(2)], "annotations": [caption("1.jpg", "a")]}
    with pytest.raises(UserError, match=r"annotates none of its images: .*image_id '1\.jpg', images the id '1', '2'"):
        rows_of(tmp_path, document)


# Whatever may stand in a record; ids and captions are often good ones, so that records meet.
ODD = st.sampled_from([None, True, -1, 1.5, float("nan"), float("inf"), "", "\ud800", [], {}, 10**30, "ü"])
IDS = st.sampled_from([1, "1", 1.0, 2, "2", "b", "-0"]) | ODD
CAPTIONS = st.sampled_from(["a dog", "two cats"]) | ODD
NAMES = st.sampled_from(["a.jpg", "../a.jpg", "ftp://host/a", "https://host/a.jpg"]) | ODD


def records(**values: st.SearchStrategy) -> st.SearchStrategy[list]:
    return st.lists(st.fixed_dictionaries({}, optional=values) | ODD, max_size=8)


@settings(max_examples=150, deadline=None)
@given(
    records(id=IDS, file_name=NAMES, coco_url=NAMES, width=ODD),
    records(id=IDS, image_id=IDS, caption=CAPTIONS),
    st.booleans(),
)
def test_no_record_vanishes(images, annotations, named):
    with tempfile.TemporaryDirectory() as folder:
        try:
            rows = rows_of(Path(folder), {"images": images, "annotations": annotations}, named)
        except UserError:
            return  # the whole file is refused, which nobody overlooks
    objects = [record for record in annotations if isinstance(record, dict)]
    texts = [record["caption"].replace("\ud800", "?") for record in objects if isinstance(record.get("caption"), str)]
    assert Counter(text for row in rows for text in row["captions"]) == Counter(texts)

    problems = Counter(row["problem"] for row in rows)
    assert problems["bad_record"] == sum(not isinstance(record, dict) for record in [*images, *annotations])
    named_images = [record for record in images if isinstance(record, dict) and is_id(record.get("id"))]
    named_objects = [record for record in objects if is_id(record.get("image_id"))]
    nameless = sum(isinstance(record, dict) for record in images) - len(named_images)
    assert problems["bad_id"] == nameless + len(objects) - len(named_objects)
    without_text = [record for record in named_objects if not isinstance(record.get("caption"), str)]
    assert problems["null_caption"] + problems["bad_caption"] == len(without_text)
    # An image all of whose captions are none is shown by them, every other has a row of its own.
    of_images = [row for row in rows if row["problem"] not in OF_ANNOTATIONS]
    shown_by_captions = {
        row["image_id"] for row in rows if row["problem"] in ("null_caption", "bad_caption") and row["image_uri"]
    }
    shown_by_captions -= {row["image_id"] for row in of_images if row["problem"] != "listed_twice"}
    assert len(of_images) + len(shown_by_captions) == len(named_images)


OF_ANNOTATIONS = ("null_caption", "bad_caption", "unknown_image", "bad_record", "bad_id")


def is_id(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int | str) and not isinstance(value, bool) and value != ""
