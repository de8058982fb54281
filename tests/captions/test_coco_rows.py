"""Rows of COCO files against json, with good input and bad."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from pipeline.captions import CaptionsConfig, open_captions, read_image, read_shard, write_listing
from pipeline.errors import UserError
from tests.captions.sources import bad, coco, good, rows_of


def test_coco_sample_is_listed_as_its_json_says(coco_sample: Path, tmp_path: Path) -> None:
    path = coco_sample / "annotations" / "captions.json"
    document = json.loads(path.read_text())
    expected = []
    for image in sorted(document["images"], key=lambda image: image["id"]):
        own = [item for item in document["annotations"] if item["image_id"] == image["id"]]
        expected.append(
            good(
                str(image["id"]),
                f"{coco_sample}/images/{image['file_name']}",
                *(item["caption"] for item in sorted(own, key=lambda item: item["id"])),
                width=image["width"],
                height=image["height"],
            )
        )
    config = CaptionsConfig("coco", str(path), images=str(coco_sample / "images"))
    assert rows_of(config) == expected
    assert len(expected) == 132
    assert sum(len(row["captions"]) for row in expected) == 660

    listing = write_listing(open_captions(config), str(tmp_path), 50)
    assert (listing.images, listing.captions, listing.shards) == (132, 660, 3)
    for row in read_shard(str(tmp_path), 2).to_pylist():
        data = read_image(row["image_uri"], row["byte_offset"], row["byte_length"])
        assert data == Path(row["image_uri"]).read_bytes()

    compressed = tmp_path / "captions.json.gz"
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    config.path = str(compressed)
    assert rows_of(config) == expected


def test_coco_images_and_captions_are_sorted_by_number(tmp_path: Path) -> None:
    config = coco(
        tmp_path / "captions.json",
        [{"id": i, "file_name": f"{i}.jpg"} for i in (10, 9, 100)],
        [
            {"id": 7, "image_id": 9, "caption": "third"},
            {"id": 2, "image_id": 10, "caption": "one of ten"},
            {"id": 6, "image_id": 9, "caption": "second"},
            {"id": 1, "image_id": 9, "caption": "first"},
        ],
    )
    assert rows_of(config) == [
        good("9", f"{tmp_path}/9.jpg", "first", "second", "third"),
        good("10", f"{tmp_path}/10.jpg", "one of ten"),
        good("100", f"{tmp_path}/100.jpg"),
    ]


def test_coco_input_that_fits_nowhere_stays_in_the_listing(tmp_path: Path) -> None:
    config = coco(
        tmp_path / "captions.json",
        [
            {"id": 5, "file_name": "5.jpg"},
            {"id": 7, "file_name": "first.jpg"},
            {"id": 7, "file_name": "second.jpg"},
        ],
        [
            {"id": 1, "image_id": 7, "caption": None},
            {"id": 2, "image_id": 7, "caption": "half a pair: \ud83d"},
            {"id": 3, "image_id": 6, "caption": "nobody's"},
            {"id": 4, "image_id": 6, "caption": "nobody's either"},
            {"id": 5, "image_id": 8, "caption": "nobody's at the end"},
            {"id": 6, "image_id": 5, "caption": None},
        ],
    )
    assert rows_of(config) == [
        bad("5", f"{tmp_path}/5.jpg", "null_caption"),
        bad("6", "", "unknown_image", "nobody's", "nobody's either"),
        good("7", f"{tmp_path}/first.jpg", "half a pair: ?"),
        bad("7", f"{tmp_path}/first.jpg", "null_caption"),
        bad("7", f"{tmp_path}/second.jpg", "listed_twice"),
        bad("8", "", "unknown_image", "nobody's at the end"),
    ]


def test_coco_images_come_from_a_zip_a_prefix_or_their_url(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "1.jpg", "coco_url": "https://host/val2017/1.jpg"}
    config = coco(tmp_path / "captions.json", [image], [])
    with zipfile.ZipFile(tmp_path / "val.zip", "w") as archive:
        archive.writestr("val2017/1.jpg", b"image")
    for images, uri in (
        (f"{tmp_path}/val.zip", f"zip://1.jpg::{tmp_path}/val.zip"),
        (f"zip://val2017::{tmp_path}/val.zip", f"zip://val2017/1.jpg::{tmp_path}/val.zip"),
        ("https://other/val2017", "https://other/val2017/1.jpg"),
        (None, "https://host/val2017/1.jpg"),
    ):
        config.images = images
        assert rows_of(config) == [good("1", uri)]
    config.images = f"zip://val2017::{tmp_path}/val.zip"
    row = rows_of(config)[0]
    assert read_image(row["image_uri"], None, None) == b"image"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"images": [],\n "annotations": [}', r"not valid JSON: .* at line 2, column 18"),
        (b"", r"not valid JSON: .* at line 1, column 1"),
        (b'{"images": ["\xff"]}', "not UTF-8 text"),
        (b"[1]", "holds a JSON list, not an object"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"info": 1}', r"has no list 'images' and no list 'annotations'.*found: info"),
        (b'{"images": [], "annotations": {}}', "has no list 'annotations'"),
        (b'{"images": [3], "annotations": []}', r"images\[0\] is a int"),
        (b'{"images": [{"id": 1}], "annotations": []}', r"images\[0\] has no 'file_name'"),
        (b'{"images": [{"id": [1], "file_name": "a"}], "annotations": []}', "'id' of type list"),
        (b'{"images": [], "images": [], "annotations": []}', "'images' twice"),
        (
            b'{"images": [], "annotations": [{"id": 1, "image_id": 1, "bbox": []}]}',
            r"annotations\[0\] has no 'caption' \(it has id, image_id, bbox\)",
        ),
    ],
)
def test_malformed_coco_names_the_file_and_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "captions.json"
    path.write_bytes(content)
    config = CaptionsConfig("coco", str(path), images=str(tmp_path))
    with pytest.raises(UserError, match=rf"^captions\.path: {path} .*{message}"):
        rows_of(config)


def test_a_truncated_gzip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "captions.json.gz"
    path.write_bytes(gzip.compress(b'{"images": []}')[:-9])
    with pytest.raises(UserError, match=rf"^captions\.path: {path} not a whole gzip file"):
        rows_of(CaptionsConfig("coco", str(path), images=str(tmp_path)))


def test_coco_without_urls_asks_for_the_images(tmp_path: Path) -> None:
    config = coco(tmp_path / "captions.json", [{"id": 1, "file_name": "1.jpg"}], [])
    config.images = None
    with pytest.raises(UserError, match=r"has no 'coco_url'.*set captions\.images"):
        rows_of(config)
    config.images = str(tmp_path / "wrong")
    with pytest.raises(UserError, match=r"^captions\.images: .*nothing is there"):
        open_captions(config)
