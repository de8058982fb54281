"""Quality tables: how probably each pair of a shard is right, beside a dataset that is whole without them.

`quality/000123.parquet` has a row for each pair of `manifests/000123.parquet`, in its order. Its metadata holds the
SHA-256 of the manifest that it was made from, so that a shard that was mined again is never read with probabilities of
other pairs, and in JSON what made it (`about`).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

import schemas
from pipeline import storage
from pipeline.dataset.checked_tables import parse_columns
from pipeline.dataset.files import Damage
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import Manifest
from pipeline.errors import UserError
from pipeline.storage.documents import DamagedFileError, damaged, parse_json

_ABOUT, _MANIFEST = b"about", b"manifest_sha256"


class StaleQualityError(UserError):
    """A quality table is of another manifest: its shard was mined again since."""


@dataclass(frozen=True)
class Quality:
    """What the quality table of a shard says."""

    p_right: np.ndarray
    """float32 [P], 0..1: by row of the manifest the probability that the pair is right."""
    sha256: str
    """Of the file."""
    about: dict
    """What made it: labels, columns, coefficients, versions."""


def write_quality(layout: Layout, manifest: Manifest, p_right_P: np.ndarray, about: dict) -> str:
    """Write the quality table of a shard, whole or not at all; equal content has equal bytes. Returns its URI.

    Args:
        manifest: read whole (`manifests.read_whole_manifest`), with the column `key`.
        p_right_P: float [P], 0..1, in the order of the manifest's rows.
        about: what made it; plain values that JSON has.

    Raises:
        ValueError: not a probability for each row.
        OSError: storage failed.
    """
    p_right_P = np.asarray(p_right_P, np.float32)
    if manifest.sha256 is None or p_right_P.shape != (len(manifest.table),) or not _probabilities(p_right_P):
        raise ValueError(f"{manifest.uri}: there has to be a probability for each of its {len(manifest.table)} pairs")
    metadata = {
        **schemas.QUALITY.metadata,
        _ABOUT: json.dumps(about, sort_keys=True, allow_nan=False).encode(),
        _MANIFEST: manifest.sha256.encode(),
    }
    columns = [manifest.table["key"], pa.array(p_right_P)]
    uri = layout.table("quality", manifest.shard)
    storage.write_table(pa.table(columns, schema=schemas.QUALITY.with_metadata(metadata)), uri)
    return uri


def read_quality(layout: Layout, manifest: Manifest) -> Quality:
    """The quality table of a shard, if it is of this manifest and these pairs.

    Args:
        manifest: read whole (`manifests.read_whole_manifest`), with the column `key`.

    Raises:
        UserError: there is none, or it is of another manifest (`StaleQualityError`) or damaged (`DamagedFileError`).
        OSError: storage cannot be read.
    """
    if manifest.sha256 is None:
        raise ValueError(f"{manifest.uri} was not read whole, so nothing says which manifest it is")
    uri = layout.table("quality", manifest.shard)
    try:
        data = storage.read_bytes(uri)
    except FileNotFoundError:
        raise UserError(f"{uri} is not there: the pairs of this shard have no p_right yet; {_advice(layout)}") from None
    table = parse_columns(pa.BufferReader(data), uri, schemas.QUALITY.names, [])
    metadata = table.schema.metadata or {}
    for name in (_ABOUT, _MANIFEST):
        if name not in metadata:
            raise damaged(uri, f"its metadata has no {name.decode()}")
    about = parse_json(metadata[_ABOUT], uri)
    if metadata[_MANIFEST] != manifest.sha256.encode():
        raise StaleQualityError(
            f"{uri} was made for another {layout.relative(manifest.uri)} than the one that is there: the shard was "
            f"mined again since; {_advice(layout)}"
        )
    for field in schemas.QUALITY:
        found = table[field.name].type if field.name in table.column_names else "no type: it is not there"
        if found != field.type:
            raise damaged(uri, f"the column {field.name} has type {found}, not {field.type}")
    if not table["key"].combine_chunks().equals(manifest.table["key"].combine_chunks()):
        raise damaged(uri, f"its keys are not those of {layout.relative(manifest.uri)} in their order")
    p_right_P = table["p_right"].to_numpy()  # a null is nan here
    if not _probabilities(p_right_P):
        raise damaged(uri, "p_right is not everywhere a number from 0 to 1")
    return Quality(p_right_P.astype(np.float32), hashlib.sha256(data).hexdigest(), about)


def check_quality(layout: Layout, manifest: Manifest) -> Iterator[Damage]:
    """Compare a quality table, if there is one, with the manifest of its shard; yields at most one damage."""
    file = layout.relative(layout.table("quality", manifest.shard))
    if not storage.exists(layout.path(file)):
        return
    try:
        read_quality(layout, manifest)
    except StaleQualityError:
        yield Damage(file, "made for another manifest of its shard, which was mined again since")
    except DamagedFileError as error:
        yield Damage(file, f"unreadable: {error}")


def _probabilities(p_right_P: np.ndarray) -> bool:
    return bool(((p_right_P >= 0) & (p_right_P <= 1)).all())  # not where it is nan


def _advice(layout: Layout) -> str:
    return f"python -m jobs.inspect quality {layout.uri} --labels labels.json writes it"
