"""Sorting more rows than fit in memory, in more runs than files can be open."""

import random
import resource
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captions.sorting import sort_batches
from pipeline.errors import UserError

SCHEMA = pa.schema([("key", pa.string()), ("number", pa.int64())])


def batches(rows: list[tuple[str, int]], size: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), size):
        keys, numbers = zip(*rows[start : start + size], strict=True)
        yield pa.record_batch([pa.array(keys), pa.array(numbers)], schema=SCHEMA)


def ordered(rows: list[tuple[str, int]], size: int, run_bytes: int, runs_at_once: int) -> list[tuple[str, int]]:
    found = sort_batches(batches(rows, size), SCHEMA, ["key", "number"], run_bytes, runs_at_once)
    return [(row["key"], row["number"]) for batch in found for row in batch.to_pylist()]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.text("abü😀", max_size=3), max_size=60),
    st.integers(1, 5),
    st.integers(1, 400),
    st.integers(2, 7),
)
def test_any_rows_are_sorted_in_any_number_of_passes(
    keys: list[str], size: int, run_bytes: int, runs_at_once: int
) -> None:
    rows = [(key, number) for number, key in enumerate(keys)]
    expected = sorted(rows, key=lambda row: (row[0].encode(), row[1]))
    assert ordered(rows, size, run_bytes, runs_at_once) == expected


def test_more_runs_than_files_can_be_open() -> None:
    numbers = random.Random(3)
    rows = [(f"{numbers.getrandbits(64):016x}", number) for number in range(400)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 40, hard))
    try:
        assert ordered(rows, 1, 1, 20) == sorted(rows)
        with pytest.raises(OSError, match="Too many open files"):
            ordered(rows, 1, 1, 400)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_rows_are_sorted_that_do_not_fit_in_the_memory_allowed() -> None:
    """400 MB of captions; an error of the input keeps its type."""
    schema = pa.schema([("key", pa.string()), ("text", pa.string())])
    numbers = random.Random(1)
    keys = [f"{numbers.getrandbits(128):032x}" for _ in range(400)]

    def batches(fail: bool):
        for key in keys:
            numbered = [f"{key}{number:03d}" for number in range(100)]
            yield pa.record_batch([numbered, [key * 320] * 100], schema=schema)
        if fail:
            raise UserError("the input is malformed")

    ordered = [key for batch in sort_batches(batches(fail=False), schema, ["key"]) for key in batch["key"].to_pylist()]
    assert ordered == sorted(f"{key}{number:03d}" for key in keys for number in range(100))
    with pytest.raises(UserError, match="the input is malformed"):
        list(sort_batches(batches(fail=True), schema, ["key"]))
