"""Opening a bank: checked, and mapped into memory, so that workers of one machine share it.

Shape suffixes: N entries of all segments, D embedding width, M nouns.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.bank.description import BankDescription, BankFile, Segment, damaged_bank, read_description
from pipeline.bank.tables import entries_schema, map_arrow, matrix, nouns_schema
from pipeline.storage.in_threads import in_threads
from pipeline.storage.node_cache import NodeCache
from pipeline.storage.own_folder import CACHE_KEY, user_cache

KEY = "segmentation.bank.path"
_UNIT = 0.01
"""How far the length of a stored embedding may be from 1: float16 rounds by far less."""
_ROWS_AT_ONCE = 16384


class Entry(NamedTuple):
    """A mined pair of a bank, and where it lies in its dataset."""

    segment: Segment
    key: str
    noun: str
    image_id: str
    shard: int
    tar_offset: int
    tar_length: int


@dataclass(frozen=True)
class Bank:
    """The entries of all segments, one after the other; an entry is known by its row."""

    uri: str
    description: BankDescription
    tables: list[pa.Table]
    """Of each file, in the order of the description."""
    owners: list[Segment]
    """The segment of each file."""
    nouns: list[str]
    """All nouns, sorted."""
    noun_embeddings: np.ndarray
    """Their text embeddings, float32 [M,D], of unit length."""

    @cached_property
    def starts(self) -> np.ndarray:
        """The first row of each file, and behind them N; int64."""
        return np.cumsum([0, *(len(table) for table in self.tables)])

    @property
    def entries(self) -> int:
        """N."""
        return int(self.starts[-1])

    @cached_property
    def embeddings(self) -> list[np.ndarray]:
        """float16 [n,D] of consecutive rows, as they lie on the disk."""
        return [part_ND for table in self.tables for part_ND in matrix(table["embedding"])]

    @cached_property
    def noun_of_row(self) -> np.ndarray:
        """Index of each entry's noun in `nouns`, int32 [N]."""
        known = pa.array(self.nouns, pa.string())
        found = [pc.index_in(chunk, known) for table in self.tables for chunk in table["noun"].chunks]
        return np.concatenate([np.zeros(0, np.int32), *(part.to_numpy(zero_copy_only=False) for part in found)])

    @cached_property
    def images_without_sha256(self) -> int:
        """Images that cannot be recognised by their content."""
        return sum(segment.images_without_sha256 for segment in self.description.segments)

    @cached_property
    def _rows_by_image(self) -> dict[str, list[tuple[int, int]]]:
        """Ranges of rows by SHA-256 and by URI of the image; the rows of an image follow one another."""
        ranges: dict[str, list[tuple[int, int]]] = {}
        for column in ("image_sha256", "image_uri"):
            for start, table in zip(self.starts, self.tables, strict=False):
                runs = pc.run_end_encode(table[column].combine_chunks())
                before = 0
                for name, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
                    if name:
                        ranges.setdefault(name, []).append((int(start) + before, int(start) + end))
                    before = end
        return ranges

    def holds(self, *identities: str | None) -> bool:
        """Whether an image with one of these (SHA-256, URI) gave entries."""
        return any(name in self._rows_by_image for name in identities if name)

    def rows_of_image(self, *identities: str | None) -> np.ndarray:
        """Rows of the image with one of these (SHA-256, URI), int64, rising."""
        ranges = [part for name in identities if name for part in self._rows_by_image.get(name, ())]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(np.arange(*part) for part in ranges)]))

    def entry(self, row: int) -> Entry:
        """What is known of one entry."""
        file = int(np.searchsorted(self.starts, row, side="right")) - 1
        columns = ("key", "noun", "image_id", "shard", "tar_offset", "tar_length")
        index = row - int(self.starts[file])
        return Entry(self.owners[file], *(self.tables[file][name][index].as_py() for name in columns))


def open_bank(uri: str, key: str = KEY, *, check: bool = False) -> Bank:
    """Map a bank into memory. One on remote storage is copied to this machine's cache first.

    Args:
        key: the configuration key or option that names it, for messages.
        check: also read every byte: checksums, and whether embeddings are numbers and of unit length. Without it,
            sizes and columns are looked at.

    Raises:
        UserError: there is none, it is of another version, has no entry, is cut short or damaged.
        OSError: storage cannot be read.
    """
    storage.check_readable(uri, key)
    description = read_description(uri, key)
    listed = [(segment, file) for segment in description.segments for file in segment.files]
    if not sum(file.rows for _, file in listed):
        raise damaged_bank(uri, "it has no entry; add a dataset with python -m jobs.export OUTPUT --format bank")
    schema, nouns = entries_schema(description.width), nouns_schema(description.width)
    tables = list(in_threads(lambda item: _open(uri, item[1], schema, check), listed))
    of_segments = [_open(uri, segment.nouns, nouns, check) for segment in description.segments]
    names = [name for table in of_segments for name in table["noun"].to_pylist()]
    vectors = [part for table in of_segments for part in matrix(table["embedding"])]
    last = {name: index for index, name in enumerate(names)}
    kept = [last[name] for name in sorted(last)]
    embeddings_MD = np.concatenate(vectors)[kept].astype(np.float32)
    bank = Bank(uri, description, tables, [segment for segment, _ in listed], sorted(last), embeddings_MD)
    for table in tables:
        unknown = pc.all(pc.is_in(table["noun"], pa.array(bank.nouns, pa.string()))).as_py()
        if unknown is False:
            raise damaged_bank(uri, "entries have nouns that its list of nouns lacks")
    return bank


def _open(bank: str, file: BankFile, schema: pa.Schema, check: bool) -> pa.Table:
    path = _local(bank, file)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise damaged_bank(bank, f"{file.file} is missing") from None
    if size != file.bytes:
        raise damaged_bank(bank, f"{file.file} has {size} bytes, not {file.bytes}")
    if check and _sha256(path) != file.sha256:
        raise damaged_bank(bank, f"the content of {file.file} differs from its checksum")
    try:
        table = map_arrow(path, schema, file.rows)
        if check:
            _check_vectors(table)
    except ValueError as error:
        raise damaged_bank(bank, f"{file.file}: {error}") from error
    return table


def _local(bank: str, file: BankFile) -> Path:
    uri = storage.join(bank, file.file)
    if storage.is_local(bank):
        _, path = storage.filesystem(uri)
        return Path(path)
    try:
        return NodeCache(user_cache("banks"), CACHE_KEY).fetch(uri, f"{file.sha256}.arrow")
    except FileNotFoundError:
        raise damaged_bank(bank, f"{file.file} is missing") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_vectors(table: pa.Table) -> None:
    """Raise ValueError where an embedding is not of unit length."""
    for part_ND in matrix(table["embedding"]):
        for start in range(0, len(part_ND), _ROWS_AT_ONCE):
            lengths_N = np.linalg.norm(part_ND[start : start + _ROWS_AT_ONCE].astype(np.float32), axis=1)
            if not (np.abs(lengths_N - 1) < _UNIT).all():
                raise ValueError(
                    f"the embedding of row {start + int((~(np.abs(lengths_N - 1) < _UNIT)).argmax())} "
                    "is not of unit length"
                )
