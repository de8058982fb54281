"""COCO Captions: one JSON document that names images and annotates them."""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.source import image_address, image_root
from pipeline.errors import UserError
from schemas import LISTING

_ROWS_PER_BATCH = 4096


class CocoCaptions:
    """Images sorted by id (numbers before text), their captions by annotation id.

    Problems: `listed_twice` (an image id seen before), `unknown_image` (annotations for an image
    that is not listed), `null_caption` (an annotation whose caption is null).
    """

    def __init__(self, config: CaptionsConfig) -> None:
        storage.check_readable(config.path, "captions.path")
        self._path = config.path
        self._images = image_root(config.images)

    def batches(self) -> Iterator[pa.RecordBatch]:
        rows = []
        for row in self._rows():
            rows.append(row)
            if len(rows) == _ROWS_PER_BATCH:
                yield pa.RecordBatch.from_pylist(rows, LISTING)
                rows.clear()
        if rows:
            yield pa.RecordBatch.from_pylist(rows, LISTING)

    def _rows(self) -> Iterator[dict]:
        document = self._load()
        images = document.pop("images")
        annotations = document.pop("annotations")
        for key, records, needed in (
            ("images", images, ("id", "file_name" if self._images else "coco_url")),
            ("annotations", annotations, ("id", "image_id", "caption")),
        ):
            self._check_records(key, records, needed)

        # Sorting is stable: of an image listed twice, the first in the file comes first.
        images.sort(key=lambda image: _order(image["id"]))
        annotations.sort(key=lambda item: (_order(item["image_id"]), _order(item["id"])))
        position = 0
        previous = None
        for image in images:
            image_id = image["id"]
            row = self._row(image)
            if image_id == previous:
                yield row | {"problem": "listed_twice"}
                continue
            previous = image_id
            while position < len(annotations) and _order(annotations[position]["image_id"]) < _order(image_id):
                unknown, position = _annotations_of_one_image(annotations, position)
                yield _unknown_image(unknown)
            own = []
            if position < len(annotations) and annotations[position]["image_id"] == image_id:
                own, position = _annotations_of_one_image(annotations, position)
            captions = _captions(own)
            if captions or not own:
                yield row | {"captions": captions}
            for _ in range(len(own) - len(captions)):
                yield row | {"problem": "null_caption"}
        while position < len(annotations):
            unknown, position = _annotations_of_one_image(annotations, position)
            yield _unknown_image(unknown)

    def _row(self, image: dict) -> dict:
        name = image["coco_url"] if self._images is None else image["file_name"]
        return {
            "image_id": _text(str(image["id"])),
            "image_uri": _text(image_address(self._images, name)),
            "width": image.get("width"),
            "height": image.get("height"),
            "captions": [],
        }

    def _load(self) -> dict:
        data = storage.read_bytes(self._path)
        try:
            if self._path.endswith(".gz"):
                data = gzip.decompress(data)
            document = json.loads(data)
        except json.JSONDecodeError as error:
            raise self._malformed(
                f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
            ) from error
        except UnicodeDecodeError as error:
            raise self._malformed(f"not UTF-8 text: {error.reason} at byte {error.start}") from error
        except (OSError, EOFError, zlib.error) as error:
            raise self._malformed(f"not a whole gzip file: {error}") from error
        except RecursionError as error:
            raise self._malformed("not COCO Captions: it is nested too deeply") from error
        if not isinstance(document, dict):
            raise self._malformed(f"holds a JSON {type(document).__name__}, not an object")
        missing = [key for key in ("images", "annotations") if not isinstance(document.get(key), list)]
        if missing:
            raise self._malformed(
                f"has no list {' and no list '.join(map(repr, missing))} at its top level "
                f"(found: {', '.join(list(document)[:8]) or 'nothing'})"
            )
        return document

    def _check_records(self, key: str, records: list, needed: tuple[str, ...]) -> None:
        for index, record in enumerate(records):
            where = f"{key}[{index}]"
            if not isinstance(record, dict):
                raise self._malformed(f"{where} is a {type(record).__name__}, not an object")
            for name in needed:
                if name not in record:
                    hint = "; set captions.images" if name == "coco_url" else ""
                    raise self._malformed(f"{where} has no {name!r} (it has {', '.join(list(record)[:8])}){hint}")
                if not _has_right_type(name, record[name]):
                    raise self._malformed(f"{where} has {name!r} of type {type(record[name]).__name__}")
            for name in ("width", "height"):
                if not _is_pixels_or_none(record.get(name)):
                    raise self._malformed(f"{where} has {name!r} {record[name]!r}")

    def _malformed(self, what: str) -> UserError:
        return UserError(f"captions.path: {self._path} {what}")


def _has_right_type(name: str, value: Any) -> bool:
    if name in ("id", "image_id"):
        return isinstance(value, int | str) and not isinstance(value, bool)
    return isinstance(value, str) or (name == "caption" and value is None)


def _is_pixels_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, int) and 0 <= value < 2**31)


def _order(identifier: int | str) -> tuple[bool, int | str]:
    return isinstance(identifier, str), identifier


def _annotations_of_one_image(annotations: list[dict], position: int) -> tuple[list[dict], int]:
    end = position
    while end < len(annotations) and annotations[end]["image_id"] == annotations[position]["image_id"]:
        end += 1
    return annotations[position:end], end


def _unknown_image(annotations: list[dict]) -> dict:
    return {
        "image_id": _text(str(annotations[0]["image_id"])),
        "image_uri": "",
        "captions": _captions(annotations),
        "problem": "unknown_image",
    }


def _captions(annotations: list[dict]) -> list[str]:
    return [_text(item["caption"]) for item in annotations if item["caption"] is not None]


def _text(value: str) -> str:
    """Half surrogate pairs, which JSON can hold and UTF-8 cannot, become question marks."""
    return value.encode(errors="replace").decode()
