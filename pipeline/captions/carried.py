"""Columns of a source beside image and caption: those that `captions.keep` carries on and `captions.where` looks at."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.captions.condition import Condition
from pipeline.captions.config import CaptionsConfig
from pipeline.errors import UserError


class Carried:
    """Which columns these are, and how many rows were dropped."""

    def __init__(self, config: CaptionsConfig) -> None:
        """Raise a UserError if the condition is none, or a column is to be kept twice."""
        self.keep = tuple(config.keep)
        if twice := [name for index, name in enumerate(self.keep) if name in self.keep[:index]]:
            raise UserError(f"captions.keep: {twice[0]!r} is named twice")
        self.condition = Condition(config.where) if config.where is not None else None
        self.dropped: int | None = None if self.condition is None else 0
        """Rows of the source that `captions.where` dropped in the last reading; None without a condition."""

    def __bool__(self) -> bool:
        return bool(self.keep) or self.condition is not None

    def begin(self) -> None:
        """Forget what an earlier reading dropped."""
        self.dropped = None if self.condition is None else 0

    def names(self, available: Sequence[str], file: str) -> list[str]:
        """The columns to read, each once.

        Raises:
            UserError: one is not among those that are available.
        """
        for name in self.keep:
            if name not in available:
                shown = ", ".join(column[:60] for column in available[:20])
                raise UserError(f"captions.keep: {file} has no column {name!r}; it has {shown}")
        judged = self.condition.columns_among(available, file) if self.condition else []
        return list(dict.fromkeys([*self.keep, *judged]))

    def holds(self, columns: dict[str, pa.Array], spared: np.ndarray | None = None) -> np.ndarray | None:
        """Which rows fulfil the condition, bool [n]; the others are counted. None without a condition.

        Args:
            columns: of `names`.
            spared: bool [n]: rows that could not be read are not judged, and go on to be rejected.
        """
        if self.condition is None or self.dropped is None:
            return None
        holds = self.condition.holds(columns)
        if spared is not None:
            holds = holds | spared
        self.dropped += int(np.count_nonzero(~holds))
        return holds

    def holding(self, records: Sequence[dict[str, Any]], spared: Sequence[bool]) -> list[bool]:
        """As `holds`, for objects of JSON: which of them fulfil the condition, all without one."""
        if self.condition is None or not records:
            return [True] * len(records)
        available = list(dict.fromkeys(key for record in records for key in record))
        by_name = {name.lower(): name for name in reversed(available)}
        columns = {
            name: pa.array([text_of(record.get(by_name.get(name.lower(), name))) for record in records], pa.string())
            for name in self.condition.columns
        }
        holds = self.holds(columns, np.array(spared, bool))
        return [True] * len(records) if holds is None else holds.tolist()

    def kept(self, record: dict[str, Any]) -> dict[str, str | None]:
        """The kept fields of an object of JSON, as text."""
        return {name: text_of(record.get(name)) for name in self.keep}

    def check(self, records: Iterable[dict[str, Any]], file: str) -> None:
        """Check that some of these objects of JSON have what is named.

        Raises:
            UserError: none has one of the columns.
        """
        if self and (available := list(dict.fromkeys(key for record in records for key in record))):
            self.names(available, file)

    @property
    def text_fields(self) -> list[pa.Field]:
        """The fields of what is kept of a source in text or JSON."""
        return [pa.field(name, pa.string()) for name in self.keep]


def text_of(value: Any) -> str | None:
    """A value of JSON as text: texts as they are, null and NaN as nothing, the others as JSON."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.encode(errors="replace").decode()


def plain_type(kinds: Sequence[pa.DataType]) -> pa.DataType:
    """What a kept column is in all files of a source: bool, int64, float64, or else text."""
    found = {_plain(kind) for kind in kinds if kind != pa.null()}
    if found == {pa.int64(), pa.float64()}:
        return pa.float64()
    return found.pop() if len(found) == 1 else pa.string()


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return pa.int64()
    return pa.float64() if pa.types.is_floating(kind) else pa.string()


def as_plain(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column in one of the types of `plain_type`; lists and structs as JSON.

    Raises:
        pa.ArrowInvalid: it is of bytes that are no text.
    """
    if pa.types.is_nested(array.type):
        return pa.array([text_of(value) for value in array.to_pylist()], pa.string())
    return array.cast(kind)
