"""Karpathy's split files: dataset_coco.json, dataset_flickr8k.json, dataset_flickr30k.json.

    {"images": [{"filename": "…", "filepath": "val2014", "cocoid": 391895, "split": "test",
                 "sentences": [{"raw": "A man with a red helmet …", …}, …], …}, …], "dataset": "coco"}

(Karpathy and Fei-Fei, Deep Visual-Semantic Alignments for Generating Image Descriptions, 2015.)
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.captions.carried import Carried, text_of
from pipeline.captions.coco_document import load_object, malformed
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.grouping import ROWS, grouped
from pipeline.captions.source import image_root
from pipeline.errors import UserError

_RECORDS_PER_BATCH = 4096


class KarpathyCaptions:
    """Images sorted by id: the id in COCO ("cocoid") as text, or else the name of the file.

    Captions are the "raw" texts of their sentences, in their order; images are called FILEPATH/FILENAME, or FILENAME
    where there is no "filepath".

    The split is a field as any other: `captions.where: split in ('train', 'restval')`.

    Problems: `bad_record` (no JSON object), `null_image` (no "filename"), `null_caption` (no sentence, or one without
    "raw"), `bad_caption` ("raw" is no text), and those of `grouped`.
    """

    def __init__(self, config: CaptionsConfig) -> None:
        storage.check_readable(config.path, "captions.path")
        if config.images is None:
            raise UserError("captions.images: must be set to the folder of the images, which Karpathy's files name")
        self._path = config.path
        self._images = image_root(config.images)
        self._carried = Carried(config)

    @property
    def dropped(self) -> int | None:
        """See `CaptionSource`."""
        return self._carried.dropped

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of the listing, in the order of the class."""
        records = load_object(self._path).get("images")
        objects = [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []
        if not any("filename" in record and "sentences" in record for record in objects):
            seen = f"its images have {', '.join(list(objects[0])[:8])}" if objects else "it lists no images"
            raise malformed(
                self._path, f"is none of Karpathy's files: {seen}; looked for are 'filename' and 'sentences'"
            )
        self._carried.begin()
        self._carried.check(objects, self._path)
        return grouped(self._rows(iter(records or [])), self._images, self._carried.text_fields)

    def _rows(self, records: Iterator[Any]) -> Iterator[pa.RecordBatch]:
        kept = [pa.field("kept", pa.struct(self._carried.text_fields))] if self._carried.keep else []
        schema = pa.schema([*ROWS, *kept])
        while chunk := list(islice(records, _RECORDS_PER_BATCH)):
            objects = [record if isinstance(record, dict) else {} for record in chunk]
            holds = self._carried.holding(objects, [not isinstance(record, dict) for record in chunk])
            rows = []
            for record, fields, holding in zip(chunk, objects, holds, strict=True):
                if holding:
                    rows += [row | {"kept": self._carried.kept(fields)} for row in _rows_of(record)]
            yield pa.RecordBatch.from_pylist(rows, schema)


def _rows_of(record: Any) -> list[dict]:
    """A row a sentence, as `ROWS`."""
    if not isinstance(record, dict):
        return [{"image_id": "", "image": "", "problem": "bad_record"}]
    folder, file = text_of(record.get("filepath")), text_of(record.get("filename"))
    name = f"{folder}/{file}" if folder and file else file or ""
    row = {"image_id": text_of(record.get("cocoid")) or name, "image": name}
    sentences = record.get("sentences")
    return [row | _caption(sentence) for sentence in (sentences if isinstance(sentences, list) else []) or [None]]


def _caption(sentence: Any) -> dict[str, str | None]:
    raw = sentence.get("raw") if isinstance(sentence, dict) else None
    if raw is None or isinstance(raw, str):
        return {"caption": text_of(raw)}
    return {"caption": None, "problem": "bad_caption"}
