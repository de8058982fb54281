"""The rows of a comparison: as Parquet files, and a few of them for people."""

import json
import tempfile
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq

import schemas
from pipeline import storage
from pipeline.differences.comparison import Comparison

DIFFERENCES, NOUNS = "differences.parquet", "nouns.parquet"

_ROWS = """
SELECT category, reason, detail, image_id, noun, key_a, key_b, CAST(iou AS FLOAT) AS iou, score_a, score_b, rank_change,
    area_a AS mask_area_a, area_b AS mask_area_b, NOT same_frame AS image_resized, image_changed
FROM compared JOIN explained USING (image_id, noun)
"""
_NOUN_ROWS = """
SELECT noun, count(row_a) AS pairs_a, count(row_b) AS pairs_b, count(row_a + row_b) AS shared,
    count(*) FILTER (category IN ('same', 'shifted')) AS agreeing, any_value(a.images) AS images_a,
    any_value(b.images) AS images_b, any_value(a.kept) AS kept_a, any_value(b.kept) AS kept_b
FROM compared LEFT JOIN vocabulary_a a USING (noun) LEFT JOIN vocabulary_b b USING (noun)
GROUP BY noun ORDER BY noun
"""


def write_tables(comparison: Comparison, to: str) -> None:
    """Write `differences.parquet` and `nouns.parquet` into a folder, any fsspec URI.

    Raises:
        OSError: storage cannot be written.
    """
    about = {
        "a": comparison.a.layout.uri,
        "b": comparison.b.layout.uri,
        "fingerprint_a": comparison.a.description["fingerprint"],
        "fingerprint_b": comparison.b.description["fingerprint"],
        "config": asdict(comparison.config),
    }
    for name, sql, schema in (
        (DIFFERENCES, f"{_ROWS} ORDER BY image_id, noun", schemas.DIFFERENCES),
        (NOUNS, _NOUN_ROWS, schemas.NOUN_DIFFERENCES),
    ):
        # Written as it comes, so that it need not fit into memory.
        described = schema.with_metadata({**schema.metadata, b"about": json.dumps(about, sort_keys=True).encode()})
        with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
            with pq.ParquetWriter(file.name, described, compression="zstd") as writer:
                for batch in comparison.workspace.stream(sql):
                    writer.write_table(pa.Table.from_batches([batch]).select(schema.names).cast(described))
            storage.upload(file.name, storage.join(to, name))


def noun_rows(comparison: Comparison) -> list[dict]:
    """Rows of `schemas.NOUN_DIFFERENCES`, those whose number of pairs changed most first."""
    rows = comparison.workspace.stream(_NOUN_ROWS).read_all().to_pylist()
    return sorted(rows, key=lambda row: (-abs(row["pairs_b"] - row["pairs_a"]), row["noun"]))


def sampled_rows(comparison: Comparison, category: str, count: int, seed: int = 0) -> list[dict]:
    """Some rows of `schemas.DIFFERENCES` of one category, drawn by a hash, so that equal seeds draw equally."""
    sql = (
        f"{_ROWS} WHERE category = '{category}' "
        f"ORDER BY md5(concat({int(seed)}, ' ', image_id, ' ', noun)), image_id, noun LIMIT {int(count)}"
    )
    return comparison.workspace.stream(sql).read_all().to_pylist()
