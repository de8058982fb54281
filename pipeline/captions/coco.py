"""COCO Captions: one JSON document that names images and annotates them."""

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.captions.addresses import refusal
from pipeline.captions.caption_lists import captions_in
from pipeline.captions.carried import Carried
from pipeline.captions.coco_document import load_records, malformed
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.source import image_address, image_root, is_absolute_name
from pipeline.storage.patterns import is_local_directory
from pipeline.storage.secrets import redacted
from schemas import LISTING, with_kept

_ROWS_PER_BATCH = 4096
_NUMBER = re.compile(r"0|-?[1-9]\d{0,3999}")
_DECIMALS = re.compile(r"([+-]?\d+)\.0+")

_Order = tuple[bool, float | str]


class _Image(NamedTuple):
    """A record of "images". `problem`: why it cannot be used."""

    order: _Order
    image_id: str
    uri: str
    width: int | None
    height: int | None
    problem: str | None
    kept: dict[str, str | None]


class _Annotation(NamedTuple):
    """A record of "annotations". `sort_key`: its order among the captions of its image."""

    order: _Order
    sort_key: tuple
    image_id: str
    captions: list[str]
    problem: str | None


class CocoCaptions:
    """Images sorted by id (numbers before text), their captions by annotation id.

    Ids are compared as text, so that 1, 1.0, "1" and "1.0" are the same image. A caption that is a list as text
    (`["a", "b"]`) is the captions of the list. Annotations without an id keep the order of
    the file, after those with one. Sizes that are no whole number above 0 are taken for unknown. Without
    `captions.images` an image is read from its coco_url, with it from its file_name, and from the other where that
    one is not given.

    Every record that cannot be used is a row with a problem, with an empty image_id if it has none.

    Problems of images: `bad_record` (no JSON object), `bad_id` (the id is absent, or neither number nor text),
    `null_image` (neither file_name nor coco_url), `relative_path` (a file_name without `captions.images`),
    `refused_address` and `secret_in_address` (see `addresses`), `listed_twice` (an id seen before).
    Problems of annotations: `bad_record`, `bad_id` (of its image), `unknown_image` (one row for all captions of an
    image that is not listed), `null_caption` (absent, null, NaN, or in a list as text), `bad_caption` (no
    text, or JSON that is no list of texts).
    """

    def __init__(self, config: CaptionsConfig) -> None:
        storage.check_readable(config.path, "captions.path")
        if is_local_directory(config.path):
            raise malformed(config.path, "is a folder; name the JSON file with the captions")
        self._path = config.path
        self._images = image_root(config.images)
        self._carried = Carried(config)
        self._schema = with_kept(LISTING, self._carried.text_fields)

    @property
    def dropped(self) -> int | None:
        """See `CaptionSource`."""
        return self._carried.dropped

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of the listing, in the order of the class, with rows for what cannot be used."""
        rows = []
        for row in self._rows():
            rows.append(row)
            if len(rows) == _ROWS_PER_BATCH:
                yield pa.RecordBatch.from_pylist(rows, self._schema)
                rows.clear()
        if rows:
            yield pa.RecordBatch.from_pylist(rows, self._schema)

    def _rows(self) -> Iterator[dict]:
        image_records, annotation_records = load_records(self._path)
        images = [self._image(record) for record in image_records]
        annotations = [_annotation(record, number) for number, record in enumerate(annotation_records)]
        self._check(image_records, images, annotation_records, annotations)
        images, annotations = self._fulfilling(image_records, images, annotations)
        del image_records, annotation_records

        # Sorting is stable: of an image listed twice, the first in the file comes first.
        images.sort(key=lambda image: image.order)
        annotations.sort(key=lambda item: (item.order, item.sort_key))
        position = 0
        previous = None
        for image in images:
            row = _row(image)
            if not image.image_id or image.image_id == previous:
                yield row | {"problem": "listed_twice" if image.image_id else image.problem}
                continue
            previous = image.image_id
            while position < len(annotations) and annotations[position].order < image.order:
                unknown, position = _annotations_of_one_image(annotations, position)
                yield from _unknown_image(unknown)
            own: list[_Annotation] = []
            if position < len(annotations) and annotations[position].order == image.order:
                own, position = _annotations_of_one_image(annotations, position)
            captions = _captions(own)
            if captions or not own or image.problem:
                yield row | {"captions": captions}
            for item in own:
                if item.problem:
                    yield row | {"problem": item.problem}
        while position < len(annotations):
            unknown, position = _annotations_of_one_image(annotations, position)
            yield from _unknown_image(unknown)

    def _fulfilling(
        self, records: list, images: list[_Image], annotations: list[_Annotation]
    ) -> tuple[list[_Image], list[_Annotation]]:
        """Those that `captions.where` does not drop, each image with its annotations."""
        self._carried.begin()
        if not self._carried:
            return images, annotations
        objects = [record if isinstance(record, dict) else {} for record in records]
        self._carried.check(objects, self._path)
        holds = self._carried.holding(objects, [image.problem == "bad_record" for image in images])
        if all(holds):
            return images, annotations
        left = [image for image, holding in zip(images, holds, strict=True) if holding]
        gone = {image.image_id for image in images} - {image.image_id for image in left} - {""}
        return left, [item for item in annotations if item.image_id not in gone]

    def _image(self, record: Any) -> _Image:
        if not isinstance(record, dict):
            return _Image(_order(""), "", "", None, None, "bad_record", {})
        image_id = _identifier(record.get("id"))
        name, problem = self._name(record)
        return _Image(
            _order(image_id),
            image_id,
            # Of a refused name nothing is opened, so it is not joined to anything.
            redacted(name) if problem else image_address(self._images, name),
            _pixels_or_none(record.get("width")),
            _pixels_or_none(record.get("height")),
            problem if image_id else "bad_id",
            self._carried.kept(record),
        )

    def _name(self, record: dict) -> tuple[str, str | None]:
        """What the image is called, and why it cannot be read."""
        names = [_text(name) for name in (record.get("file_name"), record.get("coco_url")) if isinstance(name, str)]
        names = [name for name in names if name.strip()]
        if self._images is None:
            names.reverse()  # the address, before a name that may be relative
        if not names:
            return "", "null_image"
        name = names[0]
        if self._images is None and not is_absolute_name(name):
            return name, "relative_path"
        return name, refusal(name)

    def _check(self, image_records: list, images: list[_Image], records: list, annotations: list[_Annotation]) -> None:
        """Say what the file is instead, if nothing in it can be used.

        Raises:
            UserError: as above.
        """
        wanted = "file_name" if self._images else "coco_url"
        if images and all(image.problem in ("bad_record", "bad_id", "null_image", "relative_path") for image in images):
            missing = {"null_image": wanted, "relative_path": wanted}.get(images[0].problem or "", "id")
            hint = "; set captions.images" if missing == "coco_url" else ""
            raise malformed(self._path, _describe("images", image_records, missing) + hint)
        without = [
            index for index, record in enumerate(records) if not isinstance(record, dict) or "caption" not in record
        ]
        if without and not any(item.captions for item in annotations):
            raise malformed(self._path, _describe("annotations", records, "caption", without[0]))
        listed, annotated = ({record.image_id for record in side} - {""} for side in (images, annotations))
        if listed and annotated and listed.isdisjoint(annotated):
            raise malformed(
                self._path,
                f"annotates none of its images: annotations have the image_id {_examples(annotations)}, "
                f"images the id {_examples(images)}",
            )


def _examples(records: list) -> str:
    return ", ".join(dict.fromkeys(repr(record.image_id) for record in records[:3]))


def _describe(key: str, records: list, wanted: str, index: int = 0) -> str:
    """What is wrong with a record that should have `wanted`."""
    record, where = records[index], f"{key}[{index}]"
    if not isinstance(record, dict):
        return f"{where} is a {type(record).__name__}, not an object"
    if record.get(wanted) in (None, ""):
        return f"{where} has no {wanted!r} (it has {', '.join(list(record)[:8])})"
    return f"{where} has {wanted!r} of type {type(record[wanted]).__name__}"


def _row(image: _Image) -> dict:
    return {
        "image_id": image.image_id,
        "image_uri": image.uri,
        "width": image.width,
        "height": image.height,
        "captions": [],
        "problem": image.problem,
        "kept": image.kept,
    }


def _annotation(record: Any, number: int) -> _Annotation:
    """`number`: its index in the file."""
    if not isinstance(record, dict):
        return _Annotation(_order(""), (True, _order(""), number), "", [], "bad_record")
    image_id, annotation_id = _identifier(record.get("image_id")), _identifier(record.get("id"))
    sort_key = (not annotation_id, _order(annotation_id), number)
    captions, problem = _captions_of(record.get("caption"))
    return _Annotation(_order(image_id), sort_key, image_id, captions, problem if image_id else "bad_id")


def _captions_of(value: Any) -> tuple[list[str], str | None]:
    """The captions, and what is wrong with one at least."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return [], "null_caption"
    if not isinstance(value, str):
        return [], "bad_caption"
    value = _text(value)
    try:
        listed = captions_in(value)
    except ValueError:
        return [], "bad_caption"
    listed = [value] if listed is None else listed
    captions = [text for text in listed if text is not None]
    return captions, None if captions and len(captions) == len(listed) else "null_caption"


def _annotations_of_one_image(annotations: list[_Annotation], position: int) -> tuple[list[_Annotation], int]:
    end = position + 1
    # Those that name no image are not of one image.
    while end < len(annotations) and annotations[end].image_id == annotations[position].image_id != "":
        end += 1
    return annotations[position:end], end


def _unknown_image(annotations: list[_Annotation]) -> Iterator[dict]:
    row = {"image_id": annotations[0].image_id, "image_uri": "", "kept": {}}
    captions = _captions(annotations)
    if captions:
        yield row | {"captions": captions, "problem": "unknown_image" if row["image_id"] else "bad_id"}
    for item in annotations:
        if not item.captions:
            yield row | {"captions": [], "problem": item.problem}


def _captions(annotations: list[_Annotation]) -> list[str]:
    return [caption for item in annotations for caption in item.captions]


def _identifier(value: Any) -> str:
    """An id as text, "" for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        value = int(value) if value.is_integer() else value
    text = _text(str(value)).strip()
    decimals = _DECIMALS.fullmatch(text)
    return decimals[1] if decimals else text


def _order(identifier: str) -> _Order:
    """Numbers before text, and before both what has no id."""
    if _NUMBER.fullmatch(identifier):
        return (False, int(identifier))
    return (True, identifier) if identifier else (False, -math.inf)


def _pixels_or_none(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None


def _text(value: str) -> str:
    """Half surrogate pairs, which JSON can hold and UTF-8 cannot, become question marks."""
    return value.encode(errors="replace").decode()
