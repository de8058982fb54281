"""Parquet tables."""

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.reading import read_bytes
from pipeline.storage.writing import write_bytes


def read_table(uri: str) -> pa.Table:
    """A whole Parquet file.

    Raises:
        FileNotFoundError, OSError: as `read_bytes`.
        pa.ArrowInvalid: the file is not Parquet, or damaged.
    """
    data = pa.BufferReader(read_bytes(uri))
    try:
        return pq.read_table(data)
    except OSError as error:  # of Arrow, about the content: storage has answered
        raise pa.ArrowInvalid(f"{uri}: {error}") from error


def is_damage(error: OSError) -> bool:
    """Whether an error in reading a Parquet file from storage is Arrow's, about its content: those of storage have a
    number or a cause.
    """
    return type(error) is OSError and not error.errno and error.__cause__ is None


def write_table(table: pa.Table, uri: str) -> None:
    """Write Parquet (zstd) as `write_bytes` does; equal tables have equal bytes.

    How a table is chunked makes no difference.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, compression="zstd")
    write_bytes(uri, sink.getvalue().to_pybytes())
