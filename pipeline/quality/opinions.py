"""Second opinions: what another model says of the pairs, in Parquet tables of one's own, or in those of a verifier.

`verify:so400m` is what the verifier so400m of the dataset says (`verify` of mining). A table has a column `key` (of the
pairs, each once, in any order) and one or more columns of numbers or truth values: the higher, the more probably the
pair is right. Pairs that it does not know are told and counted.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.dataset.checked_tables import parse_columns
from pipeline.dataset.opening import MinedDataset
from pipeline.dataset.verified import advice, read_verified
from pipeline.errors import UserError
from pipeline.quality.columns import PairColumns

VERIFIER = "verify:"
_HIGHER_IS_BETTER = ("score", "noun_margin", "mask_margin")
_MOST_BYTES = 2**32
_MOST_COLUMNS = 16


@dataclass(frozen=True)
class Opinion:
    """One column of a second opinion."""

    name: str
    """`opinion`, counted where there are several, or the verifier; and the column's name."""
    score: np.ndarray
    """float32 [P], nan where it knows nothing of the pair."""
    sha256: str
    """Of its file; of a verifier over the SHA-256 of all of its tables."""

    @property
    def missing(self) -> int:
        """Pairs of which it knows nothing."""
        return int(np.isnan(self.score).sum())


def read_opinions(uris: Sequence[str], pairs: PairColumns, dataset: MinedDataset) -> list[Opinion]:
    """Read second opinions.

    Args:
        uris: of tables, or `verify:` and the name of a verifier.
        pairs: of the dataset.

    Raises:
        UserError: one is not there, is no such table, or knows no pair of this dataset; says which and why.
        OSError: storage cannot be read.
    """
    several = sum(not uri.startswith(VERIFIER) for uri in uris) > 1
    found: list[Opinion] = []
    tables = 0
    for uri in uris:
        if uri.startswith(VERIFIER):
            found += _of_verifier(uri.removeprefix(VERIFIER), dataset)
        else:
            tables += 1
            found += _read(uri, f"opinion{tables if several else ''}", pairs)
    return found


def _of_verifier(name: str, dataset: MinedDataset) -> list[Opinion]:
    """Score and margins of a verifier: of its columns those of which more is better."""
    digest, parts = hashlib.sha256(), []
    for manifest in dataset.manifests(["key"]):
        try:
            verified = read_verified(dataset.layout, manifest)
        except UserError as error:
            raise UserError(f"--opinion {VERIFIER}{name}: {error}") from error
        if name not in verified.verifiers:
            known = ", ".join(verified.verifiers)
            raise UserError(
                f"--opinion {VERIFIER}{name}: {dataset.layout.table('verified', manifest.shard)} has no opinion of "
                f"{name[:40]}, but of {known}; {advice(dataset.layout)}"
            )
        digest.update(verified.sha256.encode())
        columns = [f"{name}_{part}" for part in _HIGHER_IS_BETTER]
        parts.append(verified.of_pairs(manifest.table["key"]).select(columns).replace_schema_metadata(None))
    table = pa.concat_tables(parts)
    return [
        Opinion(f"{name}.{part}", table[f"{name}_{part}"].to_numpy().astype(np.float32), digest.hexdigest())
        for part in _HIGHER_IS_BETTER
    ]


def _read(uri: str, prefix: str, pairs: PairColumns) -> list[Opinion]:
    try:
        data = storage.read_at_most(uri, _MOST_BYTES)
    except FileNotFoundError:
        raise UserError(f"--opinion {uri}: there is no such file") from None
    except storage.TooManyBytes as error:
        raise UserError(f"--opinion {uri}: it has {error}, which is too large for a table of opinions") from error
    table = parse_columns(pa.BufferReader(data), uri, None, [])
    names = [name for name in table.column_names if name != "key"]
    if "key" not in table.column_names or table["key"].type not in (pa.string(), pa.large_string()) or not names:
        raise UserError(
            f"--opinion {uri}: it has the columns {', '.join(table.column_names)[:200]}; there have to be key (text) "
            "and at least one column of scores"
        )
    if len(names) > _MOST_COLUMNS:
        raise UserError(f"--opinion {uri}: it has {len(names)} columns of scores; give at most {_MOST_COLUMNS}")
    keys = table["key"].cast(pa.string()).combine_chunks()
    if keys.null_count or len(keys.unique()) != len(keys):
        raise UserError(f"--opinion {uri}: it has keys that are empty or occur twice; each pair has to be there once")
    row = pairs.rows_of(keys)
    known = row >= 0
    if not known.any():
        raise UserError(
            f"--opinion {uri}: none of its {len(keys)} keys is a pair of this dataset; is it of another one?"
        )
    digest = hashlib.sha256(data).hexdigest()
    found = []
    for name in names:
        score = np.full(len(pairs), np.nan, np.float32)
        score[known] = _numbers(table[name], uri, name)[row[known]]
        found.append(Opinion(f"{prefix}.{name}", np.where(np.isfinite(score), score, np.nan), digest))
    return found


def _numbers(column: pa.ChunkedArray, uri: str, name: str) -> np.ndarray:
    kind = column.type
    if not (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise UserError(f"--opinion {uri}: the column {name[:80]!r} has the type {kind}; scores are numbers")
    return column.cast(pa.float64(), safe=False).to_numpy().astype(np.float32)
