"""Tables that jobs write a chunk of images at a time, read back."""

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.storage.tables import read_table


def read_chunk_table(uri: str, schema: pa.Schema, last: str, again: str) -> pa.Table:
    """A table of a chunk that is said to be done.

    Args:
        schema: of its columns; others are left out.
        last: the table of the same chunk that is written last, and says that the chunk is done.
        again: what the same command does with the images of the chunk once that is deleted: "evaluates".

    Raises:
        UserError: it is damaged or gone.
        OSError: storage cannot be read.
    """
    try:
        table = read_table(uri)
        table.validate(full=True)
        return table.select(schema.names).cast(schema)
    except (FileNotFoundError, KeyError, ValueError, pa.ArrowException) as error:
        raise UserError(
            f"{uri} is damaged or gone ({str(error)[:300]}); delete {last}, and the same command {again} the images of "
            "this chunk again"
        ) from error
