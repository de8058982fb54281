"""The rows of a comparison: as Parquet files, and a few of them for people."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq

import schemas
from pipeline import storage
from pipeline.differences.classes import ClassChange
from pipeline.differences.comparison import Comparison
from pipeline.differences.questions import Nearest

DIFFERENCES, NOUNS, CLASSES, NEAREST = (f"{name}.parquet" for name in ("differences", "nouns", "classes", "nearest"))

_ROWS = """
SELECT category, coalesce(reason, '') AS reason, coalesce(detail, '') AS detail, image_id, noun, phrase, key_a, key_b,
    CAST(iou AS FLOAT) AS iou, score_a, score_b, rank_change, area_a AS mask_area_a, area_b AS mask_area_b,
    NOT same_frame AS image_resized, image_changed
FROM compared LEFT JOIN explained USING (image_id, noun, entry)
"""
_NOUN_ROWS = """
SELECT noun, count(row_a) AS pairs_a, count(row_b) AS pairs_b, count(row_a + row_b) AS shared,
    count(*) FILTER (category IN ('same', 'shifted')) AS agreeing, any_value(a.images) AS images_a,
    any_value(b.images) AS images_b, any_value(a.kept) AS kept_a, any_value(b.kept) AS kept_b
FROM compared
LEFT JOIN (SELECT noun, max(images) AS images, bool_or(kept) AS kept FROM vocabulary_a GROUP BY noun) a USING (noun)
LEFT JOIN (SELECT noun, max(images) AS images, bool_or(kept) AS kept FROM vocabulary_b GROUP BY noun) b USING (noun)
GROUP BY noun ORDER BY noun
"""


def write_tables(
    comparison: Comparison, to: str, changes: Sequence[ClassChange] = (), nearest: Sequence[Nearest] = ()
) -> None:
    """Write `differences.parquet` and `nouns.parquet` into a folder, any fsspec URI; `classes.parquet` and
    `nearest.parquet`, too, where there is something to write into them.

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
        (DIFFERENCES, f"{_ROWS} WHERE category <> 'same' ORDER BY image_id, noun, entry", schemas.DIFFERENCES),
        (NOUNS, _NOUN_ROWS, schemas.NOUN_DIFFERENCES),
    ):
        # Written as it comes, so that it need not fit into memory.
        described = schema.with_metadata({**schema.metadata, b"about": json.dumps(about, sort_keys=True).encode()})
        with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
            with pq.ParquetWriter(file.name, described, compression="zstd") as writer:
                for batch in comparison.workspace.stream(sql):
                    writer.write_table(pa.Table.from_batches([batch]).select(schema.names).cast(described))
            storage.upload(file.name, storage.join(to, name))
    if changes:
        rows = [{**asdict(change), "nouns": list(change.nouns)} for change in changes]
        storage.write_table(pa.Table.from_pylist(rows, schemas.CLASS_CHANGES), storage.join(to, CLASSES))
    if nearest:
        storage.write_table(pa.concat_tables([found.table for found in nearest]), storage.join(to, NEAREST))


def noun_rows(comparison: Comparison) -> list[dict]:
    """Rows of `schemas.NOUN_DIFFERENCES`, those whose number of pairs changed most first."""
    rows = comparison.workspace.stream(_NOUN_ROWS).read_all().to_pylist()
    return sorted(rows, key=lambda row: (-abs(row["pairs_b"] - row["pairs_a"]), row["noun"]))


def sampled_rows(comparison: Comparison, category: str, count: int, seed: int = 0) -> list[dict]:
    """Some rows of `schemas.DIFFERENCES` of one category, drawn by a hash, so that equal seeds draw equally."""
    sql = (
        f"{_ROWS} WHERE category = '{category}' "
        f"ORDER BY md5(concat({int(seed)}, ' ', image_id, ' ', noun)), image_id, noun, entry LIMIT {int(count)}"
    )
    return comparison.workspace.stream(sql).read_all().to_pylist()


def pairs_by_key(comparison: Comparison, keys: Sequence[str]) -> list[dict]:
    """Pairs of B by their keys, in the order given, as rows of `schemas.DIFFERENCES`; of a pair that is the same,
    reason and detail are empty.
    """
    comparison.workspace.connection.register("wanted", pa.table({"key_b": pa.array(list(keys), pa.string())}))
    rows = comparison.workspace.stream(f"{_ROWS} WHERE key_b IN (SELECT key_b FROM wanted)").read_all().to_pylist()
    comparison.workspace.connection.unregister("wanted")
    places = {key: place for place, key in enumerate(keys)}
    return sorted(rows, key=lambda row: places[row["key_b"]])
