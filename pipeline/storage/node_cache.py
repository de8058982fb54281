"""Copies of remote files on a node: each fetched once for all its processes, which may be killed at any time."""

import contextlib
import errno
import os
import shutil
import time
from pathlib import Path

from pipeline.storage.own_folder import locked, open_new, open_own
from pipeline.storage.reading import open_input, size

_BLOCK_BYTES = 8 * 2**20
_LOCK, _PARTIAL = ".lock", ".partial"


class NodeCache:
    """A folder of copies, this user's alone (see `own_folder`), that any number of processes may share.

    Whoever wants a file while it is being fetched waits for it. With a bound, the files used longest ago make room.
    What lies under a name never changes: a file that has changed at its source needs another name.

    (webdataset's cache fetches a shard once for each process, and deletes the oldest even if it was used just now;
    fsspec's has no bound.)
    """

    def __init__(self, folder: Path, key: str, *, most_bytes: int | None = None, suffix: str = ""):
        """
        Args:
            folder: as `own_folder` returns it.
            key: of the configuration, or the environment variable, that says where it lies; for messages.
            most_bytes: what may lie in the folder; those that are being fetched at a time may be more. None: no bound.
            suffix: of the names of files that may be deleted to make room.
        """
        self.folder = folder
        self._key = key
        self._most_bytes = most_bytes
        self._suffix = suffix

    def path(self, name: str) -> Path:
        """Where the copy of this name lies, if it is there."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Whether the copy is there."""
        return self.path(name).exists()

    def forget(self, name: str) -> None:
        """Have the copy fetched anew when it is wanted next."""
        self.path(name).unlink(missing_ok=True)

    def fetch(self, uri: str, name: str) -> Path:
        """Have a copy in the folder. Returns its path, which holds for as long as nothing makes room.

        Args, raises: as `open`.
        """
        os.close(self.open(uri, name))
        return self.path(name)

    def open(self, uri: str, name: str) -> int:
        """A file descriptor to read the copy from; it stays good when another process deletes the file.

        Args:
            uri: what to fetch if there is no copy of this name.

        Raises:
            UserError: something else lies in its place.
            FileNotFoundError, OSError: of storage, or the folder has no room (ENOSPC, EDQUOT).
        """
        with contextlib.suppress(FileNotFoundError):
            return self._open_used(name)
        # Before the lock's file: what is not there leaves nothing.
        expected = None if self._most_bytes is None else size(uri)
        with locked(self.path(name + _LOCK), self._key):
            with contextlib.suppress(FileNotFoundError):
                return self._open_used(name)  # another process was faster
            partial = self.path(name + _PARTIAL)
            try:
                return self._fetch(uri, expected, partial, self.path(name))
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    def _fetch(self, uri: str, expected: int | None, partial: Path, path: Path) -> int:
        with open_new(partial, self._key) as file:
            if expected is not None:
                with self._counting():
                    self._make_room(expected)
                    file.truncate(expected)  # so that other processes count it
            with open_input(uri, read_ahead=True) as source:
                shutil.copyfileobj(source, file, _BLOCK_BYTES)
            if expected is not None and file.tell() != expected:
                raise OSError(errno.EIO, f"{file.tell()} bytes came instead of {expected}", uri)
            file.flush()
            _note_use(file.fileno())
            with self._counting():
                partial.rename(path)
                self._make_room(0)  # those fetched at the same time may be too many together
            return os.dup(file.fileno())

    def _counting(self) -> contextlib.AbstractContextManager:
        """Held while what lies in the folder is counted, or changes."""
        return contextlib.nullcontext() if self._most_bytes is None else locked(self.folder / "lock", self._key)

    def _make_room(self, wanted: int) -> None:
        """Delete the files used longest ago until `wanted` bytes fit, and what killed processes left."""
        if self._most_bytes is None:
            return
        found = []
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # a fetch has just failed
                found.append((path, path.lstat()))
        used = sum(status.st_size for _, status in found)
        for path, status in sorted(found, key=lambda entry: entry[1].st_mtime_ns):
            if path.suffix == _PARTIAL:
                with locked(path.with_suffix(_LOCK), self._key, wait=False) as mine:
                    if mine:  # nobody is fetching it
                        path.unlink(missing_ok=True)
                        used -= status.st_size
            elif path.suffix == self._suffix and used + wanted > self._most_bytes:
                path.unlink(missing_ok=True)
                used -= status.st_size

    def _open_used(self, name: str) -> int:
        file = open_own(self.path(name), self._key, os.O_RDONLY)
        if self._most_bytes is not None:
            _note_use(file)
        return file


def _note_use(file: int) -> None:
    """File systems do not keep the time of the last use by themselves, and their own clock ticks too slowly."""
    now = time.time_ns()
    os.utime(file, ns=(now, now))
