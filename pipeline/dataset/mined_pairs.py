"""The pairs of a mined dataset, shard by shard."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.configuration.paths import refuse_secrets
from pipeline.dataset.files import check_rows, damaged, read_description
from pipeline.dataset.layout import Layout
from pipeline.errors import UserError
from pipeline.storage.in_threads import in_threads


@dataclass(frozen=True)
class Manifest:
    """The pairs of one committed shard."""

    shard: int
    table: pa.Table
    """Columns of `schemas.MANIFEST`; the rows of an image follow one another."""
    sha256: str
    """Of the file."""


@dataclass(frozen=True)
class MinedPairs:
    """The committed shards of an output directory."""

    layout: Layout
    description: dict
    """`config.yaml`."""
    shards: list[int]
    complete: bool
    """Whether all shards are committed."""

    def manifests(self, columns: Sequence[str] | None = None) -> Iterator[Manifest]:
        """The manifests in the order of their shards, a few of them in memory at a time.

        Args:
            columns: only these; None: all.

        Raises:
            UserError: a manifest is damaged.
            OSError: storage cannot be read.
        """

        def read(shard: int) -> Manifest:
            uri = self.layout.table("manifests", shard)
            data = storage.read_bytes(uri)
            try:
                table = pq.ParquetFile(pa.BufferReader(data)).read(columns)
                if missing := set(columns or ()) - set(table.column_names):
                    raise UserError(
                        f"{uri} lacks {', '.join(sorted(missing))}: it was written by an older version of this "
                        "program; mine the dataset again"
                    )
            except (pa.ArrowException, OSError) as error:  # OSError: of Arrow, about the content
                raise damaged(uri, error) from error
            check_rows(table, shard, uri)
            return Manifest(shard, table, hashlib.sha256(data).hexdigest())

        return in_threads(read, self.shards)


def open_pairs(output: str) -> MinedPairs:
    """Find out what is there to export.

    Raises:
        UserError: no dataset, nothing of it is committed yet, or a secret in the URI, which exports repeat.
        OSError: storage cannot be read.
    """
    refuse_secrets("output", output)
    storage.check_readable(output, "output")
    layout = Layout(output)
    description = read_description(layout)
    shards = sorted(layout.committed())
    if not shards:
        raise UserError(f"{output}: no shard is committed yet, so there is nothing to export; mine it first")
    return MinedPairs(layout, description, shards, storage.exists(layout.dataset))
