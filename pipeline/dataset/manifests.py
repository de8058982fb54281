"""Manifests: the one file that makes a shard part of the dataset. Written here, and read here without trust.

A manifest lists the pairs of its shard and, in the metadata of its Parquet schema, the checksums of the shard's other
files (`files`) and its totals (`counts`).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline import storage
from pipeline.dataset.checked_tables import parse_columns
from pipeline.dataset.files import checked_files
from pipeline.dataset.layout import KEY, Layout
from pipeline.storage.documents import damaged, parse_json

MOST = 2**63 - 1
"""No count is larger."""
_LONGEST_SIDE = 65500
"""px: images of a dataset are JPEG."""
_MOST_PIXELS = 2**30  # of what is made of a row: a mask of the whole image
_RANGES = {
    "tar_offset": (0, 2**48),
    "tar_length": (0, 2**31 - 1),
    "image_width": (1, _LONGEST_SIDE),
    "image_height": (1, _LONGEST_SIDE),
}


@dataclass(frozen=True)
class Manifest:
    """The pairs of one committed shard."""

    uri: str
    shard: int
    table: pa.Table
    """Columns of `schemas.MANIFEST`; the rows of an image follow one another."""
    files: dict[str, dict]
    """The other files of the shard, each with `sha256` and `bytes`."""
    sha256: str | None = None
    """Of the file; None where only some columns were fetched."""
    bytes: int | None = None
    """Of the file; None likewise."""

    @property
    def counts(self) -> dict[str, int]:
        """`images`, `images_with_pairs` and `pairs` of the shard.

        Raises:
            UserError: they are not there.
        """
        counts = _metadata(self.table.schema, b"counts", self.uri)
        for name in ("images", "images_with_pairs", "pairs"):
            if type(counts.get(name)) is not int or not 0 <= counts[name] <= MOST:
                raise damaged(self.uri, f"its counts have {name} {str(counts.get(name))[:40]}")
        return counts


def write_manifest(layout: Layout, shard: int, rows: list[dict], files: dict[str, dict], counts: dict[str, int]) -> str:
    """Commit a shard: from now on it is part of the dataset. Returns the URI of its manifest.

    Args:
        rows: its pairs, as `schemas.MANIFEST` has them.
        files: the other files of the shard, which are there already, each with `sha256` and `bytes`.
        counts: its `images`, `images_with_pairs` and `pairs`.

    Raises:
        OSError: storage failed; the shard is not committed.
    """
    uri = layout.table("manifests", shard)
    metadata = {**schemas.MANIFEST.metadata, b"files": _json(files), b"counts": _json(counts)}
    storage.write_table(pa.Table.from_pylist(rows, schemas.MANIFEST).replace_schema_metadata(metadata), uri)
    return uri


def read_manifest(layout: Layout, shard: int, columns: Sequence[str], optional: Sequence[str] = ()) -> Manifest:
    """Some columns of a manifest; only these are fetched. `optional` and what is raised: as of `parse_manifest`.

    Raises:
        FileNotFoundError: the shard is not committed.
        OSError: storage cannot be read.
    """
    uri = layout.table("manifests", shard)
    with storage.open_input(uri) as file:
        return _checked(parse_columns(file, uri, [*columns, *optional], columns), shard, uri, optional)


def read_whole_manifest(
    layout: Layout, shard: int, columns: Sequence[str] | None = None, optional: Sequence[str] = ()
) -> Manifest:
    """Columns of a manifest with the digest of its file: all of it is fetched. What is raised: as of `read_manifest`.

    Args:
        columns: None: all that are there.
        optional: as of `parse_manifest`.
    """
    return parse_manifest(storage.read_bytes(layout.table("manifests", shard)), layout, shard, columns, optional)


def parse_manifest(
    data: bytes, layout: Layout, shard: int, columns: Sequence[str] | None = None, optional: Sequence[str] = ()
) -> Manifest:
    """Columns of a manifest that has been read.

    Args:
        columns: that it must have; None: all that are there.
        optional: others that it may have; nulls if not.

    Raises:
        UserError: it lacks one of `columns`, so that it is of an older version, or is damaged.
    """
    uri = layout.table("manifests", shard)
    wanted = None if columns is None else [*columns, *optional]
    table = parse_columns(pa.BufferReader(data), uri, wanted, columns)
    manifest = _checked(table, shard, uri, optional)
    return replace(manifest, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def _checked(table: pa.Table, shard: int, uri: str, optional: Sequence[str]) -> Manifest:
    files = checked_files(_metadata(table.schema, b"files", uri), uri)
    _check_types(table, uri)
    _check_rows(table, shard, uri)
    for name in optional:
        if name not in table.column_names:
            field = schemas.MANIFEST.field(name)
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return Manifest(uri, shard, table, files)


def _check_types(table: pa.Table, uri: str) -> None:
    for field in schemas.MANIFEST:
        if field.name in table.column_names and (found := table[field.name].type) != field.type:
            raise damaged(uri, f"the column {field.name} has type {found}, not {field.type}")


def _check_rows(table: pa.Table, shard: int, uri: str) -> None:
    """Check that the rows are of this shard, that their keys can be part of a file's name, and that their numbers can
    be worked with.
    """
    names = set(table.column_names)
    if "shard" in names and len(table) and not pc.all(pc.fill_null(pc.equal(table["shard"], shard), False)).as_py():
        raise damaged(uri, f"it holds pairs of other shards than {shard}")
    if "key" in names:
        column = table["key"]
        good = pc.fill_null(pc.match_substring_regex(column, f"^{KEY}$"), False)
        if (first := pc.index(good, False).as_py()) >= 0:
            raise damaged(uri, f"{str(column[first].as_py())[:200]!r} is no key of a sample such as 000012-00034-000")
    for name, (least, most) in _RANGES.items():
        if name in names and len(table):
            found = pc.min_max(pc.fill_null(table[name], -1)).as_py()
            if found["min"] < least or found["max"] > most:
                raise damaged(uri, f"{name} is from {found['min']} to {found['max']}")
    if {"image_width", "image_height"} <= names and len(table):
        pixels = pc.multiply(*(table[name].cast(pa.int64()) for name in ("image_width", "image_height")))
        if (most := pc.max(pixels).as_py()) > _MOST_PIXELS:
            raise damaged(uri, f"it has an image of {most} pixels")


def _metadata(schema: pa.Schema, name: bytes, uri: str) -> dict:
    text = (schema.metadata or {}).get(name)
    if text is None:
        raise damaged(uri, f"its metadata has no {name.decode()}")
    return parse_json(text, uri)


def _json(value: dict) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
