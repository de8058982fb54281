"""The tables that the chunks of an evaluation have written, read together."""

import re
from collections.abc import Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline import storage
from pipeline.evaluation.chunk import BOX_REGIONS, TABLES, chunk_uri
from pipeline.evaluation.label_maps import LABEL_MAPS
from pipeline.evaluation.object_tables import OBJECT_TABLES
from pipeline.storage.chunk_tables import read_chunk_table
from pipeline.storage.in_threads import in_threads

_SCHEMAS = OBJECT_TABLES | {
    "confusion": schemas.CONFUSION,
    "class_pixels": schemas.CLASS_PIXELS,
    "regions": schemas.TRUE_REGIONS,
    BOX_REGIONS: schemas.TRUE_REGIONS,
    LABEL_MAPS: schemas.LABEL_MAPS,
    "images": schemas.EVALUATED_IMAGES,
}

# Other programs leave files of their own in folders, such as ._000000.parquet.
_NAME = re.compile(r"[0-9]{6,}\.parquet")


def chunk_names(output: str, table: str) -> list[str]:
    """The names of the files of chunks in a folder of an output directory; [] if there is none."""
    return [name for name in storage.list_names(storage.join(output, table)) if _NAME.fullmatch(name)]


def stored_tables(output: str) -> "ChunkTables":
    """The tables of a complete evaluation."""
    return ChunkTables(output, len(chunk_names(output, TABLES[-1])))


class ChunkTables:
    """The tables of an output directory whose chunks are all there."""

    def __init__(self, output: str, chunks: int) -> None:
        self._output, self._chunks = output, chunks

    def read(self, name: str, branches: Sequence[str] | None = None) -> pa.Table:
        """The tables of a folder, of all chunks, in the order of the images.

        Args:
            branches: only rows of these; None: the table has no branches, or all are wanted.

        Raises:
            UserError: a table of a chunk is damaged or gone.
            OSError: storage cannot be read.
        """
        parts = in_threads(partial(self._read_chunk, name), range(self._chunks))
        if branches is None:
            return pa.concat_tables(parts)
        wanted = pa.array(branches)
        # One after the other: of the other branches nothing is held.
        return pa.concat_tables([part.filter(pc.is_in(part["branch"], wanted)) for part in parts])

    def every_chunk_has(self, name: str) -> bool:
        """Whether all chunks have this table; earlier versions of this program wrote fewer."""
        names = set(chunk_names(self._output, name))
        return all(f"{chunk:06d}.parquet" in names for chunk in range(self._chunks))

    def _read_chunk(self, name: str, chunk: int) -> pa.Table:
        uri, last = (chunk_uri(self._output, table, chunk) for table in (name, TABLES[-1]))
        return read_chunk_table(uri, _SCHEMAS[name], last, "evaluates")
