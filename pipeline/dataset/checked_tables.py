"""The Parquet tables of a mined dataset, read without trust."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import UserError
from pipeline.storage.documents import damaged


def read_columns(uri: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of a Parquet table; only these are fetched.

    Raises:
        FileNotFoundError: it is not there.
        UserError: it has not got them, or is damaged.
        OSError: storage cannot be read.
    """
    with storage.open_input(uri) as file:
        return parse_columns(file, uri, columns)


def read_checked_table(uri: str, columns: Sequence[str] = ()) -> pa.Table:
    """A whole Parquet table, in one request: for small ones.

    Args:
        columns: that it must have.

    Raises:
        FileNotFoundError: it is not there.
        UserError: it has not got them, or is damaged.
        OSError: storage cannot be read.
    """
    return parse_columns(pa.BufferReader(storage.read_bytes(uri)), uri, None, columns)


def parse_columns(
    file: pa.NativeFile, uri: str, columns: Sequence[str] | None, required: Iterable[str] | None = None
) -> pa.Table:
    """Columns of an open Parquet file, with the metadata of its schema.

    Args:
        uri: for messages.
        columns: in this order; None: all that are there.
        required: those that must be there; None: all of `columns`. The others are left out where they are not.

    Raises:
        UserError: it lacks one of `required`, or is damaged.
        OSError: storage cannot be read.
    """
    try:
        parquet = pq.ParquetFile(file, pre_buffer=True)
        there = parquet.schema_arrow.names
        needed = (columns or ()) if required is None else required
        if not (missing := sorted(set(needed) - set(there))):
            return parquet.read(None if columns is None else [name for name in columns if name in there])
    except (pa.ArrowException, TypeError, ValueError) as error:  # all of Arrow, about the content
        raise damaged(uri, error) from error
    except OSError as error:
        if storage.is_damage(error):
            raise damaged(uri, error) from error
        raise
    raise UserError(
        f"{uri} lacks {', '.join(missing)}: it was written by an older version of this program; mine the dataset again"
    )
