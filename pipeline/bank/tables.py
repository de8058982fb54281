"""The Arrow files of a bank: their columns, written whole and read by mapping them into memory.

Embeddings are float16, a fixed-size list a row, so that a column is one matrix where it lies.
"""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.bank.description import BankFile


def entries_schema(width: int) -> pa.Schema:
    """Columns of the entries of a shard: a mined pair each, in the order of its manifest."""
    return pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("noun", pa.string(), nullable=False),
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("image_uri", pa.string(), nullable=False),
            pa.field("image_sha256", pa.string(), nullable=False),
            pa.field("shard", pa.int32(), nullable=False),
            pa.field("tar_offset", pa.int64(), nullable=False),
            pa.field("tar_length", pa.int64(), nullable=False),
            pa.field("embedding", _vectors(width), nullable=False),
        ]
    )


def nouns_schema(width: int) -> pa.Schema:
    """Columns of the nouns of a segment: each noun once, sorted, with its text embedding of unit length."""
    return pa.schema(
        [pa.field("noun", pa.string(), nullable=False), pa.field("embedding", _vectors(width), nullable=False)]
    )


def _vectors(width: int) -> pa.DataType:
    return pa.list_(pa.field("item", pa.float16(), nullable=False), width)


def vectors(matrix_ND: np.ndarray) -> pa.FixedSizeListArray:
    """A float matrix as a column of float16 vectors."""
    width = matrix_ND.shape[1]
    values = pa.array(np.ascontiguousarray(matrix_ND, np.float16).reshape(-1), pa.float16())
    return pa.FixedSizeListArray.from_arrays(values, type=_vectors(width))


def matrix(column: pa.ChunkedArray) -> list[np.ndarray]:
    """A column of vectors as matrices float16 [n,D], one for each chunk, without a copy."""
    width = column.type.list_size
    return [chunk.flatten().to_numpy(zero_copy_only=True).reshape(-1, width) for chunk in column.chunks]


def write_arrow(table: pa.Table, bank: str, file: str) -> BankFile:
    """Write a table as one Arrow IPC file, which appears whole; equal tables have equal bytes.

    Raises:
        OSError: storage failed, and nothing was written.
    """
    sink = pa.BufferOutputStream()
    table = table.combine_chunks()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    data = sink.getvalue().to_pybytes()
    storage.write_bytes(storage.join(bank, file), data)
    return BankFile(file, len(table), len(data), hashlib.sha256(data).hexdigest())


def map_arrow(path: Path, schema: pa.Schema, rows: int) -> pa.Table:
    """An Arrow IPC file, mapped into memory.

    Raises:
        ValueError: it is none, or has other columns or another number of rows.
        OSError: it cannot be opened.
    """
    source = pa.memory_map(str(path))
    try:
        table = pa.ipc.open_file(source).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:  # of Arrow, about the content: it was opened
        raise ValueError(f"no Arrow file: {str(error)[:200]}") from error
    if not table.schema.equals(schema):
        raise ValueError(f"it has the columns {str(table.schema.to_string(show_field_metadata=False))[:400]}")
    if len(table) != rows:
        raise ValueError(f"it has {len(table)} rows, not {rows}")
    return table
