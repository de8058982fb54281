"""Mined datasets that are a little different."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def changed_copy(mined: Path, folder: Path, change: Callable[[dict], dict]) -> Path:
    """A copy of a dataset whose manifests have other values: `change` gives, for a row, the columns that differ."""
    shutil.copytree(mined, folder)
    for file in (folder / "manifests").iterdir():
        manifest = pq.read_table(file)
        rows = [row | change(row) for row in manifest.to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, manifest.schema), file)
    return folder


def pairs_of(dataset: Path) -> list[dict]:
    """The rows of all manifests, each file read by itself."""
    return [
        row for file in sorted((dataset / "manifests").iterdir()) for row in pq.ParquetFile(file).read().to_pylist()
    ]
