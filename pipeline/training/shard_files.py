"""Reading samples out of shards at random: local tars as they are, remote ones through a cache on the node."""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline import storage
from pipeline.dataset.layout import Layout, stem
from pipeline.errors import UserError
from pipeline.storage.own_folder import locked, open_new, open_own, own_folder

_KEY = "data.cache"
_FETCHED_AT_ONCE = 4
_BLOCK_BYTES = 8 * 2**20


class ShardFiles:
    """The tars of a dataset.

    A remote shard is fetched whole, once for all processes of a node, into a folder where the shards used longest ago
    make room for it. Any number of processes may share the folder, for any datasets, and may be killed at any time.

    (webdataset's cache fetches a shard once for each process, and deletes the oldest even if it was used just now;
    fsspec's has no bound.)
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
        self._folder = Path(cache or Path(tempfile.gettempdir()) / f"ovseg-shards-{os.getuid()}").expanduser()
        self._cache_bytes = cache_bytes
        if not self._local:
            storage.check_writable(str(self._folder), _KEY)
            own_folder(self._folder, _KEY)

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
        absent = [] if self._local else [shard for shard in sorted(shards) if not self._cached(shard).exists()]
        if absent:
            with ThreadPoolExecutor(_FETCHED_AT_ONCE) as threads:
                for file in threads.map(self._open, absent):
                    os.close(file)

    def forget(self, shard: int) -> bool:
        """Have a remote shard fetched anew when it is read next; False where tars are read as they are."""
        if not self._local:
            self._cached(shard).unlink(missing_ok=True)
        return not self._local

    def _cached(self, shard: int) -> Path:
        return self._folder / f"{self._prefix}-{stem(shard)}.tar"

    def _open(self, shard: int) -> int:
        """A file descriptor to read the shard from; it stays good when another process deletes the file."""
        uri = self._layout.tar(shard)
        if self._local:
            return os.open(uri, os.O_RDONLY)
        path = self._cached(shard)
        with contextlib.suppress(FileNotFoundError):
            return _open_used(path)
        size = storage.size(uri)
        with locked(path.with_suffix(".lock"), _KEY):
            with contextlib.suppress(FileNotFoundError):
                return _open_used(path)  # another process was faster
            partial = path.with_suffix(".partial")
            try:
                return self._fetch(uri, size, partial, path)
            except BaseException as error:
                partial.unlink(missing_ok=True)
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise UserError(
                        f"data.cache: no room in {self._folder} for {uri} ({size} bytes); choose another folder or "
                        f"lower data.cache_gb ({self._cache_bytes / 1e9:g})"
                    ) from error
                raise

    def _fetch(self, uri: str, size: int, partial: Path, path: Path) -> int:
        with open_new(partial, _KEY) as file:
            with locked(self._folder / "lock", _KEY):
                self._make_room(size)
                file.truncate(size)  # so that other processes count it
            with storage.open_input(uri, read_ahead=True) as source:
                shutil.copyfileobj(source, file, _BLOCK_BYTES)
            if file.tell() != size:
                raise OSError(errno.EIO, f"{file.tell()} bytes came instead of {size}", uri)
            file.flush()
            _note_use(file.fileno())
            with locked(self._folder / "lock", _KEY):
                partial.rename(path)
                self._make_room(0)  # those fetched at the same time may be too many together
            return os.dup(file.fileno())

    def _make_room(self, size: int) -> None:
        """Delete the shards used longest ago until `size` bytes fit, and what killed processes left."""
        found = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # a fetch has just failed
                found.append((path, path.lstat()))
        used = sum(status.st_size for _, status in found)
        for path, status in sorted(found, key=lambda entry: entry[1].st_mtime_ns):
            if path.suffix == ".partial":
                with locked(path.with_suffix(".lock"), _KEY, wait=False) as mine:
                    if mine:  # nobody is fetching it
                        path.unlink(missing_ok=True)
                        used -= status.st_size
            elif path.suffix == ".tar" and used + size > self._cache_bytes:
                path.unlink(missing_ok=True)
                used -= status.st_size


def _open_used(path: Path) -> int:
    file = open_own(path, _KEY, os.O_RDONLY)
    _note_use(file)
    return file


def _note_use(file: int) -> None:
    """File systems do not keep the time of the last use by themselves, and their own clock ticks too slowly."""
    now = time.time_ns()
    os.utime(file, ns=(now, now))
