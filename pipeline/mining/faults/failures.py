"""Shards that failed: why is kept in the output directory until they are committed, where `jobs.inspect` finds it."""

import json

from pipeline import storage
from pipeline.dataset.layout import Layout


class Failures:
    """The failed shards of an output directory. Only the driver has one, so that one process writes the records."""

    def __init__(self, layout: Layout):
        self.errors: dict[int, str] = {}
        """Why, by shard, of those that failed since the last `clear`."""
        self._layout = layout
        self._storage_failed = False
        self._recorded = layout.failed()
        for shard in self._recorded & layout.committed():  # the driver died between the two
            self.forget(shard)

    def record(self, shard: int, error: str) -> None:
        """A shard failed; `error` is `stage: traceback`."""
        self.errors[shard] = error
        if self._storage_failed:
            return
        stage, _, trace = error.partition(": ")
        content = json.dumps({"stage": stage, "error": trace}, indent=1, ensure_ascii=False)
        try:
            storage.write_bytes(self._layout.error(shard), content.encode())
            self._recorded.add(shard)
        except OSError:
            # The job's last message has to do; the next attempt could take as long as this one, two minutes on S3.
            self._storage_failed = True

    def forget(self, shard: int) -> None:
        """A shard is committed."""
        if shard in self._recorded:
            storage.remove(self._layout.error(shard))
            self._recorded.discard(shard)

    def clear(self) -> None:
        """Begin a new pass over what is due; the records stay."""
        self.errors.clear()
        self._storage_failed = False
