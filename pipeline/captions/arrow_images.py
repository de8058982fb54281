"""Pictures inside Arrow files, as `save_to_disk` of Hugging Face `datasets` writes them: streams or files of record
batches, of which each is a message that begins at some byte.
"""

import contextlib
import errno
import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.captions.picture_addresses import bytes_of, damage_as_arrows, place_of, whole

_MAGIC = b"ARROW1"
_AFTER_MAGIC = 8
"""Bytes before the first message of a file; a stream begins with it."""


class ArrowMessages:
    """The record batches of an open Arrow file, each read by itself."""

    def __init__(self, file: str, listing: bool) -> None:
        """Open it.

        Args:
            listing: all of them are read, and little of each: a local file is mapped, so that its pictures stay on the
                disk. (Workers do not: whoever looks into a mapped file that has become shorter is ended.)

        Raises:
            pa.ArrowInvalid, EOFError: it is no Arrow file, or damaged.
            OSError: storage is broken or unreachable.
        """
        self._open = contextlib.ExitStack()
        try:
            if listing and storage.is_local(file) and "::" not in file:
                self._stream = self._open.enter_context(pa.memory_map(storage.filesystem(file)[1]))
            else:
                stream: Any = self._open.enter_context(storage.open_input(file, read_ahead=listing))
                self._stream = pa.PythonFile(stream, mode="r")
            if self._stream.read(len(_MAGIC)) == _MAGIC:
                self._stream.seek(_AFTER_MAGIC)
            else:
                self._stream.seek(0)
            schema = pa.ipc.read_schema(self._stream)
            self.schema = schema
            # Of dictionaries a batch holds the indices.
            plain = [f.with_type(f.type.index_type) if pa.types.is_dictionary(f.type) else f for f in schema]
            self._plain = pa.schema(plain)
        except BaseException:
            self.close()
            raise

    def batches(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Every record batch with the offset of its message. Columns of dictionaries are their indices."""
        while True:
            offset = self._stream.tell()
            try:
                message = pa.ipc.read_message(self._stream)
            except EOFError as error:
                if self._stream.tell() == offset:  # without the mark at the end
                    raise pa.ArrowInvalid("it ends early") from error
                return
            if message.type == "record batch":
                yield offset, pa.ipc.read_record_batch(message, self._plain)

    def batch(self, offset: int) -> pa.RecordBatch:
        """The record batch whose message begins at a byte."""
        self._stream.seek(offset)
        return pa.ipc.read_record_batch(pa.ipc.read_message(self._stream), self._plain)

    def close(self) -> None:
        """Close the file."""
        self._open.close()


def read_arrow_image(image_uri: str, max_bytes: int | None = None) -> bytes:
    """The encoded picture at an address of `arrow://`.

    Raises:
        As `read_parquet_image`.
    """
    place = place_of(image_uri)
    with damage_as_arrows(place.file):
        picture = _reader.read(place.file, place.column, place.part, place.row)
    return whole(picture, image_uri, max_bytes)


class _Reader:
    """The file that was read last, open, with the pictures of the record batch that was read last.

    Threads that read neighbouring rows share it, so a batch is read once and not once for each picture.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: str | None = None
        self._messages: ArrowMessages | None = None
        self._batch: tuple[str, int] | None = None
        self._pictures: pa.Array | None = None

    def read(self, file: str, column: str, offset: int, row: int) -> pa.Scalar | None:
        """The picture, null if it has no bytes; None if the batch has no such row."""
        with self._lock:
            try:
                if self._messages is None or self._file != file:
                    self._close()
                    self._messages, self._file = ArrowMessages(file, listing=False), file
                if self._batch != (column, offset):
                    if column not in self._messages.schema.names:
                        raise FileNotFoundError(errno.ENOENT, "the table has no such column any more", file)
                    self._pictures = bytes_of(self._messages.batch(offset)[column])
                    self._batch = (column, offset)
                assert self._pictures is not None
                return self._pictures[row] if row < len(self._pictures) else None
            except Exception:
                self._close()
                raise

    def _close(self) -> None:
        self._batch = self._pictures = self._file = None
        if self._messages is not None:
            self._messages.close()
            self._messages = None


_reader = _Reader()
