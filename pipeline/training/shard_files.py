"""Reading samples out of shards at random: local tars as they are, remote ones through a cache on the node."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pipeline import storage
from pipeline.dataset.layout import Layout, stem
from pipeline.errors import UserError
from pipeline.storage.in_threads import in_threads
from pipeline.storage.node_cache import NodeCache
from pipeline.storage.own_folder import own_folder

_KEY = "data.cache"
_FETCHED_AT_ONCE = 4


class ShardFiles:
    """The tars of a dataset.

    A remote shard is fetched whole, once for all processes of a node, into a folder where the shards used longest ago
    make room for it. Any number of processes may share the folder, for any datasets, and may be killed at any time.
    """

    def __init__(self, dataset: str, identity: str, cache: str | None, cache_bytes: int):
        """
        Args:
            dataset: URI of the mined dataset.
            identity: tells apart what lay at this URI at different times, such as `Samples.manifest_sha256`.
            cache: the folder; None: one in the folder for temporary files.
            cache_bytes: what may lie in the folder; those that are being fetched at a time may be more.

        Raises:
            UserError: the folder cannot be written, or is not this user's alone.
        """
        self._local = storage.is_local(dataset)
        self._layout = Layout(storage.filesystem(dataset)[1] if self._local else dataset)
        self._prefix = hashlib.sha256(f"{dataset}\n{identity}".encode()).hexdigest()[:16]
        folder = Path(cache or Path(tempfile.gettempdir()) / f"ovseg-shards-{os.getuid()}").expanduser()
        self._cache_bytes = cache_bytes
        self._cache = NodeCache(folder, _KEY, most_bytes=cache_bytes, suffix=".tar")
        if not self._local:
            storage.check_writable(str(folder), _KEY)
            own_folder(folder, _KEY)

    def read(self, shard: int, offset: int, length: int) -> bytes:
        """`length` bytes of a shard's tar from `offset`; fewer if it ends earlier.

        Raises:
            UserError: no room for the cache.
            FileNotFoundError, OSError: as `storage.read_bytes`.
        """
        file = self._open(shard)
        try:
            return os.pread(file, length, offset)
        finally:
            os.close(file)

    def fetch(self, shards: Iterable[int]) -> None:
        """Have remote shards in the cache, several at a time.

        Raises:
            as `read`.
        """
        absent = [] if self._local else [shard for shard in sorted(shards) if not self._cache.has(self._name(shard))]
        for file in in_threads(self._open, absent, _FETCHED_AT_ONCE):
            os.close(file)

    def forget(self, shard: int) -> bool:
        """Have a remote shard fetched anew when it is read next; False where tars are read as they are."""
        if not self._local:
            self._cache.forget(self._name(shard))
        return not self._local

    def _name(self, shard: int) -> str:
        return f"{self._prefix}-{stem(shard)}.tar"

    def _open(self, shard: int) -> int:
        """A file descriptor to read the shard from; it stays good when another process deletes the file."""
        uri = self._layout.tar(shard)
        if self._local:
            return os.open(uri, os.O_RDONLY)
        try:
            return self._cache.open(uri, self._name(shard))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise UserError(
                f"{_KEY}: no room in {self._cache.folder} for {uri} ({storage.size(uri)} bytes); choose another folder "
                f"or lower data.cache_gb ({self._cache_bytes / 1e9:g})"
            ) from error
