"""What measuring a set of whole images comes to: the tables of all chunks together."""

import hashlib
import json
from collections import Counter
from functools import partial

import numpy as np
import pyarrow as pa
import torch

import schemas
from pipeline import storage
from pipeline.errors import UserError
from pipeline.retention.chunk import TABLES, chunk_uri
from pipeline.retention.classification import accuracies, class_accuracies
from pipeline.retention.encoding import reason_of
from pipeline.retention.retrieval import recalls
from pipeline.retention.sets import CaptionedImages, ClassifiedImages
from pipeline.storage.chunk_tables import read_chunk_table
from pipeline.storage.documents import read_json
from pipeline.storage.in_threads import in_threads

CLASSES, RESULT = "classes.parquet", "result.json"

_SCHEMAS = {
    "classification": {"images": schemas.CLASSIFIED_IMAGES},
    "retrieval": {"images": schemas.RETRIEVAL_IMAGES, "captions": schemas.RETRIEVAL_CAPTIONS},
}


def read_tables(output: str, images: ClassifiedImages | CaptionedImages, chunks: int) -> dict[str, pa.Table]:
    """The tables of all chunks, by name; all chunks are there.

    Raises:
        UserError: a table of a chunk is damaged or gone.
        OSError: storage cannot be read.
    """
    found = {}
    for name, schema in _SCHEMAS[images.task].items():
        each = partial(_read_chunk, output, name, TABLES[images.task][-1], schema)
        found[name] = pa.concat_tables(in_threads(each, range(chunks)))
    return found


def _read_chunk(output: str, name: str, last: str, schema: pa.Schema, chunk: int) -> pa.Table:
    return read_chunk_table(chunk_uri(output, name, chunk), schema, chunk_uri(output, last, chunk), "measures")


def rejected(tables: dict[str, pa.Table]) -> dict[str, int]:
    """How many images could not be used, for which reason."""
    problems = tables["images"]["problem"].drop_null().to_pylist()
    return dict(sorted(Counter(map(reason_of, problems)).items()))


def write_result(
    output: str, images: ClassifiedImages | CaptionedImages, tables: dict[str, pa.Table], fingerprint: str
) -> dict:
    """Write `classes.parquet` (of a classification) and, last, `result.json`, which says that the job is complete.

    Returns:
        the content of `result.json`.
    """
    found = tables["images"]
    usable = found.filter(pa.compute.is_null(found["problem"]))
    files = hashlib.sha256("".join(digest or "-" for digest in found["sha256"].to_pylist()).encode()).hexdigest()
    result = {
        "fingerprint": fingerprint,
        "task": images.task,
        "dataset": images.identity | {"files_sha256": files},
        "images": len(usable),
        "rejected": rejected(tables),
        "notes": list(images.notes),
    }
    if isinstance(images, ClassifiedImages):
        ranks, labels = usable["rank"].to_numpy(), usable["label"].to_numpy()
        counts, shares = class_accuracies(ranks, labels, len(images.classes))
        columns = [np.arange(len(counts), dtype=np.int32), images.classes, counts, pa.array(shares, from_pandas=True)]
        storage.write_table(pa.table(columns, schema=schemas.CLASS_ACCURACIES), storage.join(output, CLASSES))
        result |= {"classes": len(images.classes), "scores": accuracies(ranks, labels, len(images.classes))}
    else:
        captions = tables["captions"]
        # A row of the images by their place in the set.
        owner = np.searchsorted(usable["index"].to_numpy(), captions["index"].to_numpy())
        scores = recalls(_features(usable), _features(captions), owner)
        result |= {"captions": len(captions), "scores": scores}
    content = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
    storage.write_bytes(storage.join(output, RESULT), content.encode())
    return result


def read_result(output: str) -> dict:
    """What `write_result` has written.

    Raises:
        FileNotFoundError: the job in this output directory is not complete.
        UserError: the file is damaged, or of something else.
        OSError: storage cannot be read.
    """
    uri = storage.join(output, RESULT)
    result = read_json(uri)
    if result.get("task") not in TABLES or not isinstance(result.get("scores"), dict):
        raise UserError(
            f"{uri} is damaged, or no result of a classification or retrieval. Delete this file and run the same "
            "command again, which makes it of what is kept"
        )
    return result


def _features(table: pa.Table) -> torch.Tensor:
    """Float32 [N,D]."""
    column = table["features"].combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=True)
    return torch.from_numpy(flat.reshape(len(table), -1) if len(table) else flat.reshape(0, 1))
