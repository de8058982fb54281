"""Tables of second opinions: what further CLIPs (verifiers) say of the candidates of a shard, beside a dataset that is
whole without them.

`verified/000123.parquet` has a row for each row of `candidates/000123.parquet`, in its order, and five columns for each
verifier. Its metadata holds the SHA-256 of the manifest and of the candidates that it was made from, so that a shard
that was mined again is never read with opinions of other masks, and in JSON which CLIPs the verifiers are (`about`).
Verifiers join a table one after the other; their columns are sorted by name, so that the order does not show.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline import storage
from pipeline.dataset.checked_tables import parse_columns
from pipeline.dataset.files import Damage
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import Manifest
from pipeline.errors import UserError
from pipeline.storage.documents import DamagedFileError, damaged, parse_json

_ABOUT, _MANIFEST, _CANDIDATES = b"about", b"manifest_sha256", b"candidates_sha256"
_OF_A_PAIR = ["image_id", "noun", "phrase"]


class StaleVerifiedError(UserError):
    """A table of second opinions is of another manifest: its shard was mined again since."""


@dataclass(frozen=True)
class Verified:
    """What the table of second opinions of a shard says."""

    table: pa.Table
    """`schemas.verified_schema` of its verifiers."""
    verifiers: dict[str, dict]
    """By name, sorted, which CLIP it is: `sha256`, `templates`, …"""
    sha256: str
    """Of the file."""

    def of_pairs(self, keys: pa.ChunkedArray) -> pa.Table:
        """The rows of the pairs with these keys, in their order."""
        return self.table.take(pc.index_in(keys, value_set=self.table["key"].combine_chunks()))


@dataclass(frozen=True)
class SecondOpinion:
    """What one verifier says of C candidates, in the order of their table; NaN and -1 where it says nothing."""

    score: np.ndarray
    """float32 [C], cosine similarities."""
    noun_margin: np.ndarray
    """float32 [C]."""
    mask_margin: np.ndarray
    """float32 [C]."""
    mask_rank: np.ndarray
    """int32 [C]."""
    noun_rank: np.ndarray
    """int32 [C]."""

    def columns(self) -> list[pa.Array]:
        """Columns in the order of `schemas.VERIFIER_COLUMNS`."""
        floats = (self.score, self.noun_margin, self.mask_margin)
        ranks = (self.mask_rank, self.noun_rank)
        return [
            *(pa.array(column_C, pa.float32(), mask=np.isnan(column_C)) for column_C in floats),
            *(pa.array(column_C, pa.int32(), mask=column_C < 0) for column_C in ranks),
        ]


def write_verified(
    layout: Layout,
    manifest: Manifest,
    candidates: pa.Table,
    opinions: Mapping[str, SecondOpinion],
    problems: list[str | None],
    about: Mapping[str, dict],
) -> str:
    """Write the second opinions of a shard, whole or not at all; equal content has equal bytes. Returns the URI.

    Verifiers that the table has already stay in it, if it is of the same manifest.

    Args:
        manifest: read whole (`manifests.read_whole_manifest`), with the columns of `schemas.MANIFEST` that it has.
        candidates: the rows of the shard's candidates table, with `image_id`, `noun`, `rank` and, if it has one,
            `phrase`.
        opinions: by name of the verifier.
        problems: by candidate why verifiers say nothing of it.
        about: by name which CLIP each of `opinions` is; plain values that JSON has.

    Raises:
        ValueError: not an opinion or a problem for each row.
        OSError: storage failed.
    """
    uri = layout.table("verified", manifest.shard)
    if manifest.sha256 is None or any(len(one.score) != len(candidates) for one in opinions.values()):
        raise ValueError(f"{uri}: there has to be an opinion on each of the {len(candidates)} candidates")
    if "phrase" not in candidates.column_names:
        candidates = candidates.append_column("phrase", pa.nulls(len(candidates), pa.string()))
    columns = {f"{name}_{column}": values for name, opinion in opinions.items()
               for column, values in zip(schemas.VERIFIER_COLUMNS, opinion.columns(), strict=True)}  # fmt: skip
    about = dict(about)
    try:
        before = read_verified(layout, manifest)
    except UserError:  # none, or one of something else: it is replaced
        pass
    else:
        kept = before.verifiers.keys() - about.keys()
        about |= {name: before.verifiers[name] for name in kept}
        columns |= {
            f"{name}_{part}": before.table[f"{name}_{part}"] for name in kept for part in schemas.VERIFIER_COLUMNS
        }
        if kept:
            earlier = before.table["problem"].to_pylist()
            problems = [now or then for now, then in zip(problems, earlier, strict=True)]
    schema = schemas.verified_schema(sorted(about))
    columns |= {
        "key": _keys(manifest, candidates),
        "shard": pa.array([manifest.shard] * len(candidates), pa.int32()),
        "problem": pa.array(problems, pa.string()),
        **{name: candidates[name] for name in ("image_id", "noun", "phrase", "rank")},
    }
    metadata = {
        **schemas.VERIFIED.metadata,
        _ABOUT: json.dumps({"verifiers": about}, sort_keys=True, allow_nan=False).encode(),
        _MANIFEST: manifest.sha256.encode(),
        _CANDIDATES: _candidates_sha256(layout, manifest).encode(),
    }
    ordered = [columns[name] for name in schema.names]
    # Read and made columns lie in chunks of other sizes, which would show in the file.
    table = pa.table(ordered, schema=schema.with_metadata(metadata)).combine_chunks()
    storage.write_table(table, uri)
    return uri


def read_verified(layout: Layout, manifest: Manifest) -> Verified:
    """The second opinions of a shard, if they are of this manifest and these pairs.

    Args:
        manifest: read whole (`manifests.read_whole_manifest`), with the column `key`.

    Raises:
        UserError: there are none, or they are of another manifest (`StaleVerifiedError`) or damaged
            (`DamagedFileError`).
        OSError: storage cannot be read.
    """
    if manifest.sha256 is None:
        raise ValueError(f"{manifest.uri} was not read whole, so nothing says which manifest it is")
    uri = layout.table("verified", manifest.shard)
    try:
        data = storage.read_bytes(uri)
    except FileNotFoundError:
        raise UserError(f"{uri} is not there: no further CLIP has verified this shard yet; {advice(layout)}") from None
    table = parse_columns(pa.BufferReader(data), uri, None, schemas.VERIFIED.names)
    metadata = table.schema.metadata or {}
    for name in (_ABOUT, _MANIFEST, _CANDIDATES):
        if name not in metadata:
            raise damaged(uri, f"its metadata has no {name.decode()}")
    if (
        metadata[_MANIFEST] != manifest.sha256.encode()
        or metadata[_CANDIDATES] != _candidates_sha256(layout, manifest).encode()
    ):
        raise StaleVerifiedError(
            f"{uri} was made for another {layout.relative(manifest.uri)} than the one that is there: the shard was "
            f"mined again since; {advice(layout)}"
        )
    verifiers = parse_json(metadata[_ABOUT], uri).get("verifiers")
    if not isinstance(verifiers, dict) or not all(isinstance(about, dict) for about in verifiers.values()):
        raise damaged(uri, "its metadata does not say which CLIPs made it")
    schema = schemas.verified_schema(sorted(verifiers))
    if not table.schema.equals(schema):
        raise damaged(uri, f"its columns are not those of the verifiers {', '.join(sorted(verifiers))[:200]}")
    keys = table["key"].drop_null().combine_chunks()
    pairs = manifest.table["key"].combine_chunks()
    if not keys.take(pc.sort_indices(keys)).equals(pairs.take(pc.sort_indices(pairs))):
        raise damaged(uri, f"its keys are not those of {layout.relative(manifest.uri)}")
    for name in schema.names[len(schemas.VERIFIED) :]:
        # (Of a column without numbers `all` says nothing, `any` neither.)
        if pa.types.is_floating(table[name].type) and pc.any(pc.invert(pc.is_finite(table[name]))).as_py():
            raise damaged(uri, f"{name} is not everywhere a number or null")
    return Verified(table, dict(sorted(verifiers.items())), hashlib.sha256(data).hexdigest())


def check_verified(layout: Layout, manifest: Manifest) -> Iterator[Damage]:
    """Compare second opinions, if there are some, with the manifest of their shard; yields at most one damage."""
    file = layout.relative(layout.table("verified", manifest.shard))
    if not storage.exists(layout.path(file)):
        return
    try:
        read_verified(layout, manifest)
    except StaleVerifiedError:
        yield Damage(file, "made for another manifest of its shard, which was mined again since")
    except DamagedFileError as error:
        yield Damage(file, f"unreadable: {error}")


def advice(layout: Layout) -> str:
    """How to have second opinions."""
    return f"python -m jobs.mine --verify-only with the configuration of {layout.uri} writes it"


def _candidates_sha256(layout: Layout, manifest: Manifest) -> str:
    file = layout.relative(layout.table("candidates", manifest.shard))
    return manifest.files.get(file, {}).get("sha256", "")


def _keys(manifest: Manifest, candidates: pa.Table) -> pa.Array:
    """By candidate the key of the pair that it became: the best one of its noun, if it passed the thresholds."""
    pairs = manifest.table
    if "phrase" not in pairs.column_names:
        pairs = pairs.append_column("phrase", pa.nulls(len(pairs), pa.string()))
    names = zip(*(pairs[name].to_pylist() for name in _OF_A_PAIR), strict=True)
    key_of = dict(zip(names, pairs["key"].to_pylist(), strict=True))
    rows = zip(*(candidates[name].to_pylist() for name in (*_OF_A_PAIR, "rank")), strict=True)
    return pa.array([None if rank else key_of.get(tuple(named)) for *named, rank in rows], pa.string())
