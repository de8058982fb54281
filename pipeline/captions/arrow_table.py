"""Arrow files of a caption table: streams, and files, as `save_to_disk` of Hugging Face `datasets` and Feather have
them.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.captions.arrow_images import ArrowMessages
from pipeline.captions.parquet_texts import checked
from pipeline.captions.picture_addresses import Place, addresses_of, bytes_of, is_image_type, path_of


class ArrowTable:
    """One open file; see `TableFile`. Of a local one the pictures are not read, a remote one is read to its end."""

    def __init__(self, file: str) -> None:
        self._messages = ArrowMessages(file, listing=True)
        self._file = file
        self.names, self.types = list(self._messages.schema.names), list(self._messages.schema.types)

    def batches(self, columns: dict[str, str]) -> Iterator[pa.RecordBatch]:
        """See `TableFile`.

        Raises:
            pa.ArrowInvalid: the file is damaged, or a column is of dictionaries, which are apart from the batches.
        """
        for column in columns.values():
            if pa.types.is_dictionary(self.types[self.names.index(column)]):
                raise pa.ArrowInvalid(f"column {column!r} is encoded by a dictionary; save the table as Parquet")
        image = columns["image"]
        in_table = is_image_type(self.types[self.names.index(image)])
        for offset, batch in self._messages.batches():
            found = {name: batch[column] for name, column in columns.items()}
            if in_table:
                pictures = addresses_of(Place("arrow", image, offset, 0, self._file), len(batch))
                there = pc.is_valid(bytes_of(batch[image]))
                found["image"] = path_of(batch[image])
                found["address"] = pc.if_else(there, pictures, pa.scalar(None, pa.string()))
            yield checked(found)

    def close(self) -> None:
        """Close the file."""
        self._messages.close()
