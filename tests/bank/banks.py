"""Small banks, made up."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.bank.description import BankClip, BankDescription, BankRegions, Segment
from pipeline.bank.segments import file_of, with_segment, write_description
from pipeline.bank.tables import entries_schema, nouns_schema, vectors, write_arrow

CLIP = BankClip("tiny", None, "a" * 64, "b" * 64, 32, [0.5, 0.4, 0.3], [0.25, 0.25, 0.25])


def unit(values: np.ndarray) -> np.ndarray:
    """Rows of unit length, float32."""
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def write_bank(
    folder: Path,
    embeddings: np.ndarray,
    nouns: Sequence[str],
    *,
    files: int = 1,
    clip: BankClip = CLIP,
    noun_embeddings: np.ndarray | None = None,
    segment: str = "0123456789abcdef",
    before: BankDescription | None = None,
) -> BankDescription:
    """A bank of one more segment: entries in `files` shards, two of an image, images `sha-N` at `/images/N.jpg`."""
    count, width = embeddings.shape
    images = np.arange(count) // 2
    table = pa.table(
        {
            "key": [f"000000-{row:05d}-000" for row in range(count)],
            "noun": list(nouns),
            "image_id": images.astype(str).tolist(),
            "image_uri": [f"/images/{image}.jpg" for image in images],
            "image_sha256": [f"sha-{image}" for image in images],
            "shard": pa.array([0] * count, pa.int32()),
            "tar_offset": pa.array([0] * count, pa.int64()),
            "tar_length": pa.array([512] * count, pa.int64()),
            "embedding": vectors(embeddings),
        }
    ).cast(entries_schema(width))
    bounds = np.linspace(0, count, files + 1).astype(int)
    written = [
        write_arrow(table.slice(start, end - start), str(folder), file_of(segment, shard, [segment, shard]))
        for shard, (start, end) in enumerate(pairwise(bounds))
    ]
    known = sorted(set(nouns))
    if noun_embeddings is None:
        noun_embeddings = unit(np.random.default_rng(1).normal(size=(len(known), width)))
    of_nouns = write_arrow(
        pa.table({"noun": known, "embedding": vectors(noun_embeddings)}).cast(nouns_schema(width)),
        str(folder),
        file_of(segment, "nouns", known),
    )
    made = Segment(segment, f"/mined/{segment}", segment, "c" * 64, None, count, len(set(images)), 0, of_nouns, written)
    start = before or BankDescription(clip, width, "vild", BankRegions("mean", 1.0), [])
    description = with_segment(start, made)
    write_description(str(folder), description)
    return description
