"""Which shard of a dataset an image is in, by its id, without reading the shards."""

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.captions.listing import SHARDS_PER_FILE
from pipeline.dataset.checked_tables import read_columns
from pipeline.dataset.layout import shard_of
from pipeline.storage.documents import damaged
from pipeline.storage.in_threads import in_threads
from pipeline.storage.secrets import redacted


class ListedIds:
    """The ids of a listing as hashes with their shards: 12 bytes an image, 120 MB of ten million.

    Ids are not sorted as text in every source (COCO's are numbers), so that the ranges of the shards' ids overlap and
    would not tell. Two ids may have the same hash: then there are more shards to look into.
    """

    def __init__(self, output_uri: str, images_per_shard: int, *, shown: bool = False):
        """Read the column of ids of all files of the listing, a few at a time.

        Args:
            shown: look images up by their ids as tables show them, which is another one where an id holds a secret.

        Raises:
            UserError: the listing is not there, or damaged.
            OSError: storage cannot be read.
        """
        folder = storage.join(output_uri, "listing")
        numbers = sorted(
            number for name in storage.list_names(folder) if (number := shard_of("listing", name)) is not None
        )
        if not numbers:
            raise damaged(folder, "there is no listing")

        def read(number: int) -> tuple[np.ndarray, np.ndarray]:
            uri = storage.join(folder, f"{number:06d}.parquet")
            column = read_columns(uri, ["image_id"])["image_id"]
            if column.type != pa.string() or column.null_count:
                raise damaged(uri, f"its ids have type {column.type}, or are null")
            ids = column.to_pylist()
            # Of this process alone, and fast; nothing that depends on it is written.
            hashes_I = np.fromiter((hash(redacted(name) if shown else name) for name in ids), np.int64, len(ids))
            return hashes_I, number * SHARDS_PER_FILE + np.arange(len(ids), dtype=np.int32) // images_per_shard

        hashes, shards = zip(*in_threads(read, numbers, 4), strict=True)
        hashes_I, shards_I = np.concatenate(hashes), np.concatenate(shards).astype(np.int32)
        order = np.argsort(hashes_I, kind="stable")
        self._hashes_I, self._shards_I = hashes_I[order], shards_I[order]

    def __len__(self) -> int:
        """How many rows the listing has."""
        return len(self._hashes_I)

    def shards(self, image_id: str) -> list[int]:
        """Shards that may have the image, rising; [] if none has it."""
        key = np.int64(hash(image_id))
        first, last = (int(np.searchsorted(self._hashes_I, key, side)) for side in ("left", "right"))
        return sorted({int(shard) for shard in self._shards_I[first:last]})
