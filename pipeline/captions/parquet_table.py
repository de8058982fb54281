"""Parquet files of a caption table."""

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.captions import parquet_images
from pipeline.captions.parquet_texts import checked
from pipeline.captions.picture_addresses import is_image_type

_ROWS_PER_BATCH = 2**15


class ParquetTable:
    """One open file; see `TableFile`."""

    def __init__(self, stream: BinaryIO, file: str) -> None:
        self._parquet = pq.ParquetFile(stream, buffer_size=2**20)
        self._file = file
        schema = self._parquet.schema_arrow
        self.names, self.types = list(schema.names), list(schema.types)

    def batches(self, columns: dict[str, str]) -> Iterator[pa.RecordBatch]:
        """See `TableFile`."""
        image = columns["image"]
        if is_image_type(self._parquet.schema_arrow.field(image).type):
            others = {name: column for name, column in columns.items() if name != "image"}
            batches = parquet_images.addresses(self._parquet, self._file, image, others)
        else:
            wanted = list(dict.fromkeys(columns.values()))
            batches = (
                {name: batch[column] for name, column in columns.items()}
                for batch in self._parquet.iter_batches(_ROWS_PER_BATCH, columns=wanted, use_threads=False)
            )
        return map(checked, batches)
