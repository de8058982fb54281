"""COCO files with odd values in their fields: an error with a name, or everything is accounted for.

`make soak FAULTS=50 SEED=7` for more of them.
"""

import contextlib
import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.captions import CaptionsConfig, open_captions
from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.proposals.ground_truth import all_annotated
from tests.hostile.odd_fields import disturb, intact, text_id, written

HEIGHT, WIDTH = 24, 32
IMAGES = 4
FEW, PER_FAULT = 120, 100


def many(check: Callable[[random.Random, Path, list[str]], None], folder: Path, cases: int, seed: int) -> None:
    """Run a check that says what it has done so far in the list it is given; a failure names the case."""
    for number in range(cases):
        log: list[str] = []
        try:
            check(random.Random(f"{seed} {number}"), folder, log)
        except Exception as error:
            raise AssertionError(f"case {number} of seed {seed}: {'; '.join(log)}: {error!r}") from error


@pytest.fixture
def cases(request) -> tuple[int, int]:
    """How many, and the seed."""
    options = request.config
    if request.node.get_closest_marker("soak"):
        return PER_FAULT * options.getoption("faults"), options.getoption("seed")
    return FEW, 0


def disturbed(document: dict, rng: random.Random, log: list[str]) -> bool:
    """Disturb a document; returns whether one value of one record is odd, which may cost no more than that record."""
    done = []
    for _ in range(rng.choice([1, 1, 2, 4])):
        done.append(disturb(document, rng))
        log.append(done[-1].what)
    [only] = done if len(done) == 1 else [None]
    return only is not None and only.path[0] in ("images", "annotations") and len(only.path) > 1 and not only.breaking


def is_whole(path: Path) -> bool:
    """Whether the file is still the document that was disturbed (a byte order mark counts as odd)."""
    data = path.read_bytes()
    return data[:1] == b"{" and data[-1:] == b"}"


def ids(records: Any) -> Counter:
    """How often each id is there, as text: records of one id may be taken for one another."""
    return Counter(text_id(record.get("id")) for record in records if isinstance(record, dict))


def unless_refused(read: Callable[[], Any]) -> tuple[Any, str | None]:
    """What is read, or what the user is told instead."""
    try:
        return read(), None
    except UserError as error:
        return None, str(error) or "nothing"


# Captions


def listed(path: Path) -> list[dict]:
    batches = open_captions(CaptionsConfig("coco", str(path), images=str(path.parent))).batches()
    return [row for batch in batches for row in batch.to_pylist()]


def captions_document() -> dict:
    images = [
        {"id": number, "file_name": f"{number}.jpg", "width": WIDTH, "height": HEIGHT}
        for number in range(1, IMAGES + 1)
    ]
    annotations = [
        {"id": 10 * image + number, "image_id": image, "caption": f"caption {number} of {image}"}
        for image in range(1, IMAGES + 1)
        for number in range(image % 3)
    ]
    return {"info": {"year": 2017}, "images": images, "annotations": annotations}


def check_captions(rng: random.Random, folder: Path, log: list[str]) -> None:
    document = captions_document()
    one_record = disturbed(document, rng, log)
    path = folder / "captions.json"
    path.write_bytes(written(document, rng))
    rows, refusal = unless_refused(lambda: listed(path))
    if refusal:
        assert "captions." in refusal
        assert not (one_record and is_whole(path)), f"one record costs the file: {refusal}"
    elif is_whole(path):
        _accounted(rows, document["images"], document["annotations"])
        _untouched(rows, document)


def _accounted(rows: list[dict], images: list, annotations: list) -> None:
    """Every image has a row; every annotation is a caption of a row, or a row that says what is wrong with it."""
    texts = Counter(
        _utf8(item["caption"])
        for item in annotations
        if isinstance(item, dict) and isinstance(item.get("caption"), str)
    )
    found = Counter(caption for row in rows for caption in row["captions"])
    assert found <= texts, f"captions that nobody wrote: {found - texts}"
    # An image all of whose annotations are odd has their rows alone.
    named = [image["id"] for image in images if isinstance(image, dict) and type(image.get("id")) is int]
    wanted = Counter(str(name) for name in named if 0 < name < 2**63)
    assert wanted <= Counter(row["image_id"] for row in rows), f"images {wanted} in {rows}"
    assert len(rows) >= len(images), f"{len(images)} images in {rows}"
    odd = [row for row in rows if row["problem"] is not None]
    assert len(odd) >= len(annotations) - found.total(), f"{len(annotations)} annotations in {rows}"


def _untouched(rows: list[dict], document: dict) -> None:
    """An image whose record is as it was is listed once, with its captions in order."""
    original = captions_document()
    for image in original["images"]:
        name = str(image["id"])
        if not intact(document["images"], image) or ids(document["images"])[name] > 1:
            continue
        own = [item for item in original["annotations"] if item["image_id"] == image["id"]]
        own = [item["caption"] for item in own if intact(document["annotations"], item)]
        found = [row for row in rows if row["image_id"] == name and row["problem"] is None]
        if not found:
            # An image all of whose captions are odd is rejected by them.
            assert not own
            assert name in {row["image_id"] for row in rows}
            continue
        [row] = found
        remaining = iter(row["captions"])
        assert all(caption in remaining for caption in own), f"{row['captions']} without {own} in order"
        assert row["image_uri"].endswith(image["file_name"])


def _utf8(text: str) -> str:
    """A text as it may be listed: half a character is no UTF-8, and a long number is a text or nothing."""
    return {"@half a character@": "?", "@many digits@": "9" * 5000}.get(text) or text.encode(errors="replace").decode()


def test_captions(cases, tmp_path):
    many(check_captions, tmp_path, *cases)


@pytest.mark.soak
def test_many_captions(cases, tmp_path):
    many(check_captions, tmp_path, *cases)


# Annotations


def rectangle(number: int) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 of an object; those of an image do not overlap."""
    return 10 * number + 1, 2, 10 * number + 9, 20


def instances_document() -> dict:
    def annotation(image: int, number: int) -> dict:
        x0, y0, x1, y1 = rectangle(number)
        polygon: Any = [[x0, y0, x1, y0, x1, y1, x0, y1]]
        runs = [0] + [length for column in range(WIDTH) for length in _column(x0 <= column < x1, y0, y1)]
        segmentation = polygon if (image + number) % 2 else {"size": [HEIGHT, WIDTH], "counts": _joined(runs)}
        return {
            "id": 10 * image + number, "image_id": image, "category_id": 1 + number, "iscrowd": 0, "area": 144.0,
            "bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": segmentation,
        }  # fmt: skip

    images = [
        {"id": number, "file_name": f"{number}.jpg", "width": WIDTH, "height": HEIGHT}
        for number in range(1, IMAGES + 1)
    ]
    annotations = [annotation(image, number) for image in range(1, IMAGES + 1) for number in range(image % 3 + 1)]
    return {"images": images, "annotations": annotations, "categories": categories()}


def categories() -> list[dict]:
    return [{"id": number, "name": f"thing {number}", "isthing": 1} for number in (1, 2, 3)]


def _column(inside: bool, y0: int, y1: int) -> list[int]:
    """Pixels outside and inside in turn, down a column."""
    return [y0, y1 - y0, HEIGHT - y1, 0] if inside else [HEIGHT, 0]


def _joined(runs: list[int]) -> list[int]:
    """The same runs, outside and inside in turn, without empty ones in the middle."""
    counts: list[int] = []
    for index, run in enumerate(runs[1:]):
        if len(counts) % 2 == index % 2:
            counts.append(run)
        else:
            counts[-1] += run
        if run == 0 and len(counts) > 1:
            counts.pop()
    return counts


def panoptic_document(folder: Path) -> dict:
    annotations = []
    folder.mkdir(exist_ok=True)
    for image in range(1, IMAGES + 1):
        ids_HW = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        segments = []
        for number in range(image % 3 + 1):
            x0, y0, x1, y1 = rectangle(number)
            ids_HW[y0:y1, x0:x1, 0] = 7 + number
            segments.append({"id": 7 + number, "category_id": 1 + number, "iscrowd": 0, "area": 144})
        Image.fromarray(ids_HW).save(folder / f"{image}.png")
        annotations.append({"image_id": image, "file_name": f"{image}.png", "segments_info": segments})
    images = [
        {"id": number, "file_name": f"{number}.jpg", "width": WIDTH, "height": HEIGHT}
        for number in range(1, IMAGES + 1)
    ]
    return {"images": images, "annotations": annotations, "categories": categories()}


def check_annotations(rng: random.Random, folder: Path, log: list[str]) -> None:
    panoptic = rng.random() < 0.4
    path = folder / "annotations.json"
    original = panoptic_document(folder / "annotations") if panoptic else instances_document()
    document = copy.deepcopy(original)
    one_record = disturbed(document, rng, log)
    path.write_bytes(written(document, rng))
    found, refusal = unless_refused(lambda: all_annotated(str(path)))
    if refusal:
        assert "proposals.options." in refusal
        # A panoptic record without its segments is one of another kind of file.
        assert panoptic or not (one_record and is_whole(path)), f"one record costs the file: {refusal}"
        return
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    usable = Counter()
    for name in {*found.image_ids, "1", "no such image"}:
        with contextlib.suppress(ImageProblem):
            [proposals] = found.propose([image], [name])
            usable[name] = len(proposals.masks)
            assert len(found.categories(name)) == len(proposals.masks)
            assert proposals.masks.size == (HEIGHT, WIDTH)
    if is_whole(path):
        _objects_remain(document, original, usable)


def _objects_remain(document: dict, original: dict, usable: Counter) -> None:
    """Objects that are as they were, of images and categories that are, are proposed."""
    annotated = Counter(text_id(item.get("image_id")) for item in document["annotations"] if isinstance(item, dict))
    named = {
        item["id"]
        for item in original["categories"]
        if intact(document["categories"], item) and ids(document["categories"])[str(item["id"])] == 1
    }
    for image in original["images"]:
        name = str(image["id"])
        if not intact(document["images"], image) or ids(document["images"])[name] > 1:
            continue
        own = [item for item in original["annotations"] if item["image_id"] == image["id"]]
        own = [item for item in own if intact(document["annotations"], item)]
        if "segments_info" in original["annotations"][0]:
            # An image has one PNG.
            own = own[0]["segments_info"] if own and annotated[name] == 1 else []
        whole = [item for item in own if item["category_id"] in named]
        assert usable[name] >= len(whole), f"image {name}: {usable[name]} of {len(whole)}"


def test_annotations(cases, tmp_path):
    many(check_annotations, tmp_path, *cases)


@pytest.mark.soak
def test_many_annotations(cases, tmp_path):
    many(check_annotations, tmp_path, *cases)


def test_the_documents_are_read_when_nothing_is_odd(tmp_path):
    """What is disturbed above is good to begin with."""
    path = tmp_path / "captions.json"
    path.write_text(json.dumps(captions_document()))
    assert [(row["image_id"], len(row["captions"]), row["problem"]) for row in listed(path)] == [
        ("1", 1, None),
        ("2", 2, None),
        ("3", 0, None),
        ("4", 1, None),
    ]
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for name, document in (("instances", instances_document()), ("panoptic", panoptic_document(tmp_path / "panoptic"))):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(document))
        found = all_annotated(str(path))
        proposed = found.propose([image] * IMAGES, found.image_ids)
        assert [len(proposals.masks) for proposals in proposed] == [2, 3, 1, 2], name
