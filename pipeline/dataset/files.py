"""What the files of a mined dataset say of each other, read without trust: the dataset may be another's, or damaged.

Everything that reads a dataset comes through here for what it acts on: names of files, checksums, keys and numbers of
shards. What is not as this program writes it is an error that names the file and what was found, never a traceback.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from pipeline import storage
from pipeline.dataset.layout import KEY, Layout, checked_file
from pipeline.errors import UserError

_HASH = re.compile("[0-9a-f]{64}")
_MOST_BYTES = 2**63 - 1
_LONGEST_SIDE = 65500
"""px: images of a dataset are JPEG."""
_MOST_PIXELS = 2**30  # of what is made of a row: a mask of the whole image
_RANGES = {
    "tar_offset": (0, 2**48),
    "tar_length": (0, 2**31 - 1),
    "image_width": (1, _LONGEST_SIDE),
    "image_height": (1, _LONGEST_SIDE),
}


class DamagedFileError(UserError):
    """A file of a dataset is not what this program wrote."""


def damaged(uri: str, problem: object) -> DamagedFileError:
    """What to say of a file of the dataset that is not what it was."""
    return DamagedFileError(f"{uri} is damaged: {str(problem)[:500]}; see python -m jobs.inspect OUTPUT --verify")


def read_json(uri: str) -> dict:
    """A JSON file that holds an object.

    Raises:
        FileNotFoundError: it is not there.
        UserError: it is something else.
        OSError: storage cannot be read.
    """
    return _object(storage.read_bytes(uri), uri)


def read_description(layout: Layout) -> dict:
    """`config.yaml` of a mined dataset; it has the parts that readers of datasets need.

    Raises:
        UserError: it is not there, or not a mining job's.
        OSError: storage cannot be read.
    """
    try:
        description = read_yaml(layout.config)
    except FileNotFoundError:
        raise UserError(f"{layout.uri}: no config.yaml, so no dataset of this program") from None
    for key, kind in (
        ("fingerprint", str),
        ("configuration.captions.path", str),
        ("models", dict),
        ("source.shards", int),
        ("source.images", int),
    ):
        value: Any = description
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if not isinstance(value, kind):
            raise UserError(f"{layout.config} has no {key}, so {layout.uri} is no dataset of python -m jobs.mine")
    return description


def read_yaml(uri: str) -> Any:
    """What a YAML file holds, whatever that is.

    Raises:
        FileNotFoundError: it is not there.
        UserError: it is no YAML.
        OSError: storage cannot be read.
    """
    data = storage.read_bytes(uri)
    try:
        return yaml.safe_load(data)
    # Beside its own errors PyYAML lets those of int() and datetime through, and it recurses.
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(uri, f"no YAML: {error}") from error


def listed_files(layout: Layout) -> dict[str, dict]:
    """The files that `dataset.json` lists, each with `sha256` and `bytes`; {} while the dataset is not complete.

    Raises:
        UserError: it is damaged, or names something that is no file of a dataset.
        OSError: storage cannot be read.
    """
    try:
        totals = read_json(layout.dataset)
    except FileNotFoundError:
        return {}
    return checked_files(totals.get("files", {}), layout.dataset)


def files_of_shard(schema: pa.Schema, uri: str) -> dict[str, dict]:
    """The files of a shard as the metadata of its manifest lists them, each with `sha256` and `bytes`.

    Raises:
        UserError: as `listed_files`.
    """
    return checked_files(_metadata(schema, b"files", uri), uri)


def counts_of_shard(schema: pa.Schema, uri: str) -> dict[str, int]:
    """`images`, `images_with_pairs` and `pairs` of a shard, from the metadata of its manifest.

    Raises:
        UserError: they are not there.
    """
    counts = _metadata(schema, b"counts", uri)
    for name in ("images", "images_with_pairs", "pairs"):
        if type(counts.get(name)) is not int or not 0 <= counts[name] <= _MOST_BYTES:
            raise damaged(uri, f"its counts have {name} {str(counts.get(name))[:40]}")
    return counts


def checked_files(files: Any, uri: str) -> dict[str, dict]:
    """Names and checksums as a file of a dataset lists them.

    Raises:
        UserError: a name leads elsewhere (`layout.checked_file`), or a checksum is none.
    """
    if not isinstance(files, dict):
        raise damaged(uri, "its list of files is none")
    for name, expected in files.items():
        checked_file(name, uri)
        digest, size = (expected.get("sha256"), expected.get("bytes")) if isinstance(expected, dict) else (None, None)
        if not isinstance(digest, str) or not _HASH.fullmatch(digest) or type(size) is not int or size < 0:
            raise damaged(uri, f"{name} has no checksum there")
    return files


def check_rows(table: pa.Table, shard: int, uri: str) -> None:
    """That the rows of a manifest are of its shard, and that their keys are such as can be part of a file's name.

    Columns that are not in the table are not looked at.

    Raises:
        UserError: naming the file and what was found.
    """
    names = set(table.column_names)
    if "shard" in names:
        column = table["shard"]
        own = pc.equal(column, shard) if pa.types.is_integer(column.type) else pa.array([False])
        if len(table) and not pc.all(pc.fill_null(own, False)).as_py():
            raise damaged(uri, f"it holds pairs of other shards than {shard}")
    if "key" in names:
        column = table["key"]
        if not pa.types.is_string(column.type):
            raise damaged(uri, f"the column key has type {column.type}")
        good = pc.fill_null(pc.match_substring_regex(column, f"^{KEY}$"), False)
        if (first := pc.index(good, False).as_py()) >= 0:
            raise damaged(uri, f"{str(column[first].as_py())[:200]!r} is no key of a sample such as 000012-00034-000")
    for name, (least, most) in _RANGES.items():
        if name in names and len(table):
            column = table[name]
            if not pa.types.is_integer(column.type):
                raise damaged(uri, f"the column {name} has type {column.type}")
            found = pc.min_max(pc.fill_null(column, -1)).as_py()
            if found["min"] < least or found["max"] > most:
                raise damaged(uri, f"{name} is from {found['min']} to {found['max']}")
    if {"image_width", "image_height"} <= names and len(table):
        pixels = pc.multiply(*(table[name].cast(pa.int64()) for name in ("image_width", "image_height")))
        if (most := pc.max(pixels).as_py()) > _MOST_PIXELS:
            raise damaged(uri, f"it has an image of {most} pixels")


def read_columns(uri: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of a Parquet table of a dataset; only these are fetched.

    Raises:
        FileNotFoundError: it is not there.
        UserError: it has not got them, or is damaged.
        OSError: storage cannot be read.
    """
    with storage.open_input(uri) as file:
        try:
            parquet = pq.ParquetFile(file, pre_buffer=True)
            missing = [name for name in columns if name not in parquet.schema_arrow.names]
            if not missing:
                return parquet.read(list(columns))
        except pa.ArrowException as error:
            raise damaged(uri, error) from error
        except OSError as error:
            if storage.is_damage(error):
                raise damaged(uri, error) from error
            raise
    raise _lacks(uri, missing[0])


def read_table(uri: str, columns: Sequence[str] = ()) -> pa.Table:
    """A whole Parquet table of a dataset, in one request: for small ones.

    Args:
        columns: that it must have.

    Raises:
        FileNotFoundError: it is not there.
        UserError: it has not got them, or is damaged.
        OSError: storage cannot be read.
    """
    try:
        table = storage.read_table(uri)
    except pa.ArrowException as error:
        raise damaged(uri, error) from error
    if missing := [name for name in columns if name not in table.column_names]:
        raise _lacks(uri, missing[0])
    return table


def read_statistics(layout: Layout, shard: int) -> dict:
    """`regions` of a shard and worker `seconds` by stage; 0 and {} where its worker died before it wrote them, or where
    somebody changed them: no result depends on them.
    """
    try:
        found = read_json(layout.statistics(shard))
    except (FileNotFoundError, DamagedFileError):
        found = {}
    regions, seconds = found.get("regions"), found.get("seconds")
    times = seconds.items() if isinstance(seconds, dict) else ()
    return {
        "regions": regions if type(regions) is int and 0 <= regions <= _MOST_BYTES else 0,
        "seconds": {stage: float(time) for stage, time in times if type(time) in (int, float) and 0 <= time < 1e12},
    }


def _lacks(uri: str, column: str) -> UserError:
    return UserError(f"{uri} has no column {column}: an older version of this program mined it; mine again")


def _metadata(schema: pa.Schema, name: bytes, uri: str) -> dict:
    text = (schema.metadata or {}).get(name)
    if text is None:
        raise damaged(uri, f"its metadata has no {name.decode()}")
    return _object(text, uri)


def _object(text: bytes, uri: str) -> dict:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also of a number of thousands of digits
        raise damaged(uri, f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise damaged(uri, f"it holds {type(value).__name__} instead of an object")
    return value
