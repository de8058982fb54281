"""The tables of a mined dataset → tables of the workspace, shard by shard, read without trust.

Of a dataset `a` come `pairs_a` (all but the masks, which go into a file), `candidates_a`, `images_a` (every image of
its source), `named_a` (the nouns of captions), `rejected_a` and `vocabulary_a`.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline import storage
from pipeline.dataset.checked_tables import parse_columns
from pipeline.dataset.layout import stem
from pipeline.dataset.manifests import Manifest, read_manifest
from pipeline.dataset.opening import MinedDataset
from pipeline.differences.workspace import CodeFile, Workspace
from pipeline.storage.documents import damaged
from pipeline.storage.in_threads import in_threads

_BOX = ["box_x0", "box_y0", "box_x1", "box_y1"]
_REQUIRED = ["key", "image_id", "noun", "image_width", "image_height", *_BOX, "mask_rle", "mask_area", "clip_score"]
_OPTIONAL = ["image_sha256"]
_PHRASE = "phrase"
_CANDIDATES = ["image_id", "noun", "rank", *_BOX, "mask_area", "clip_score"]
_CAPTIONS = ["image_id", "captions", "nouns"]
_REJECTS = ["image_id", "caption_index", "stage", "reason"]
_READERS = 4

_TABLES = """
CREATE TABLE pairs_{side} (row_{side} BIGINT, key VARCHAR, image_id VARCHAR, noun VARCHAR, phrase VARCHAR,
    width INT, height INT, x0 INT, y0 INT, x1 INT, y1 INT, area BIGINT, score FLOAT, sha256 VARCHAR, code UBIGINT,
    start BIGINT, length INT);
CREATE TABLE candidates_{side} (image_id VARCHAR, noun VARCHAR, rank INT, x0 INT, y0 INT, x1 INT, y1 INT, area BIGINT,
    score FLOAT, phrase VARCHAR);
CREATE TABLE captions_{side} (image_id VARCHAR, captions UBIGINT);
CREATE TABLE named_{side} (image_id VARCHAR, noun VARCHAR, phrase VARCHAR);
CREATE TABLE rejects_{side} (image_id VARCHAR, reason VARCHAR);
CREATE TABLE vocabulary_{side} (noun VARCHAR, images BIGINT, kept BOOLEAN);
"""
_PAIRS = """INSERT INTO pairs_{side} SELECT row, key, image_id, noun, phrase, image_width, image_height, box_x0, box_y0,
    box_x1, box_y1, mask_area, clip_score, nullif(image_sha256, ''), hash(mask_rle), start, length FROM added"""
_OTHERS = {
    "candidates": "SELECT * FROM added",
    "captions": "SELECT image_id, hash(captions) FROM added",
    "named": "SELECT * FROM added",
    "rejects": "SELECT image_id, stage || ': ' || reason FROM added WHERE caption_index IS NULL",
    "vocabulary": "SELECT * FROM added",
}


@dataclass
class Loaded:
    """What came of a dataset."""

    dataset: MinedDataset
    codes: CodeFile
    pairs: int = 0
    images: int = 0
    """Of the committed shards."""
    missing: set[str] = field(default_factory=set)
    """Kinds of tables that some shard lacks."""
    optional: set[str] = field(default_factory=set)
    """Columns that some manifest lacks, which older versions did not write."""
    phrases: bool = False
    """Whether its pairs have phrases: an image may then have several of one noun."""


@dataclass(frozen=True)
class _Shard:
    manifest: Manifest
    images: int
    tables: dict[str, pa.Table | None]


@contextmanager
def load(workspace: Workspace, side: str, dataset: MinedDataset) -> Iterator[Loaded]:
    """Bring a dataset into the workspace; its masks can be read until the context ends.

    Args:
        side: what its tables are called by, `a` or `b`.

    Raises:
        UserError: nothing is committed yet, a table is damaged or of an older version that lacks what is compared, or a
            noun of an image (with phrases: a phrase) has two pairs.
        OSError: storage cannot be read.
    """
    dataset.check_begun()
    workspace.connection.execute(_TABLES.format(side=side))
    with closing(CodeFile(workspace.folder / f"codes_{side}")) as codes:
        loaded = Loaded(dataset, codes)
        _load_shards(workspace, side, loaded)
        _load_vocabulary(workspace, side, loaded)
        workspace.flush()
        _check_unique(workspace, side, dataset)
        yield loaded


def _load_shards(workspace: Workspace, side: str, loaded: Loaded) -> None:
    dataset = loaded.dataset
    for shard in in_threads(lambda number: _read_shard(dataset, number), dataset.shards, _READERS):
        _insert_pairs(workspace, side, loaded, shard)
        for name, table in shard.tables.items():
            if table is None:
                loaded.missing.add(name)
            elif name == "captions":
                _insert(workspace, side, "captions", table.select(["image_id", "captions"]))
                _insert(workspace, side, "named", _named(table))
            else:
                _insert(workspace, side, name, table)


def _read_shard(dataset: MinedDataset, shard: int) -> _Shard:
    layout = dataset.layout
    manifest = read_manifest(layout, shard, _REQUIRED, [*_OPTIONAL, _PHRASE])
    for name in _REQUIRED:
        if manifest.table[name].null_count:
            raise damaged(manifest.uri, f"{name} is missing in some rows")
    if not pc.all(pc.starts_with(manifest.table["key"], f"{stem(shard)}-")).as_py() and len(manifest.table):
        raise damaged(manifest.uri, f"it has keys of other shards than {shard}")
    tables = {
        "candidates": _read(layout.table("candidates", shard), schemas.CANDIDATES, _CANDIDATES, [_PHRASE]),
        "captions": _read(layout.table("captions", shard), schemas.CAPTIONS, _CAPTIONS),
        "rejects": _read(layout.table("rejects", shard), schemas.REJECTS, _REJECTS),
    }
    return _Shard(manifest, manifest.counts["images"], tables)


def _read(uri: str, schema: pa.Schema, columns: Sequence[str], optional: Sequence[str] = ()) -> pa.Table | None:
    """Columns of a table that other tables explain themselves by; None if it is not there.

    optional: columns that older versions did not write: nulls where they are not there.
    """
    try:
        with storage.open_input(uri) as file:
            table = parse_columns(file, uri, [*columns, *optional], columns)
    except FileNotFoundError:
        return None
    for name in optional:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
    for name in (*columns, *optional):
        if not _holds(table[name].type, schema.field(name).type):
            raise damaged(uri, f"the column {name} has type {table[name].type}, not {schema.field(name).type}")
    return table.replace_schema_metadata(None)


def _holds(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a column has a type; of lists of structures, those of older versions had fewer fields."""
    if not (pa.types.is_list(wanted) and pa.types.is_struct(wanted.value_type)):
        return found == wanted
    return (
        pa.types.is_list(found)
        and pa.types.is_struct(found.value_type)
        and found.value_type.get_field_index("noun") >= 0
        and all(field.type == wanted.value_type.field(field.name).type for field in found.value_type)
    )


def _insert_pairs(workspace: Workspace, side: str, loaded: Loaded, shard: _Shard) -> None:
    table = shard.manifest.table
    loaded.optional |= {name for name in _OPTIONAL if len(table) and table[name].null_count}
    starts, lengths = loaded.codes.append(table["mask_rle"])
    rows = np.arange(loaded.pairs, loaded.pairs + len(table))
    loaded.pairs += len(table)
    loaded.images += shard.images
    loaded.phrases |= table[_PHRASE].null_count < len(table)
    table = table.select([*_REQUIRED, *_OPTIONAL, _PHRASE]).replace_schema_metadata(None)
    for name, values in (("row", rows), ("start", starts), ("length", lengths)):
        table = table.append_column(name, pa.array(values))
    workspace.insert(_PAIRS.format(side=side), table)


def _insert(workspace: Workspace, side: str, name: str, table: pa.Table) -> None:
    workspace.insert(f"INSERT INTO {name}_{side} {_OTHERS[name]}", table)


def _named(captions: pa.Table) -> pa.Table:
    """image_id, noun and phrase of every noun that was found in captions."""
    nouns = captions["nouns"].combine_chunks()
    found = nouns.flatten()
    named = pc.struct_field(found, "noun")
    has_phrases = found.type.get_field_index(_PHRASE) >= 0
    phrases = pc.struct_field(found, _PHRASE) if has_phrases else pa.nulls(len(found), pa.string())
    images = captions["image_id"].take(pc.list_parent_indices(nouns))
    return pa.table({"image_id": images, "noun": named, _PHRASE: phrases})


def _load_vocabulary(workspace: Workspace, side: str, loaded: Loaded) -> None:
    uri = loaded.dataset.layout.vocabulary
    table = _read(uri, schemas.VOCABULARY, ["noun", "images", "kept"])
    if table is None:
        loaded.missing.add("vocabulary")
    else:
        _insert(workspace, side, "vocabulary", table)


def _check_unique(workspace: Workspace, side: str, dataset: MinedDataset) -> None:
    twice = workspace.run(
        f"SELECT image_id, noun, phrase FROM pairs_{side} GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
    )
    if twice:
        [(image, noun, phrase)] = twice
        of = f"the noun {noun[:100]!r}" if phrase is None else f"the phrase {phrase[:100]!r}"
        raise damaged(
            storage.join(dataset.layout.uri, "manifests"), f"the image {image[:100]!r} has two pairs with {of}"
        )
