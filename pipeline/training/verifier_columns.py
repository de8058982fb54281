"""Columns of verifiers, further CLIPs that have scored the candidates of a dataset, for `data.where`."""

import hashlib
from collections.abc import Collection

import pyarrow as pa

import schemas
from pipeline.dataset.layout import Layout, stem
from pipeline.dataset.manifests import Manifest
from pipeline.dataset.verified import advice, read_verified
from pipeline.errors import UserError
from pipeline.storage.in_threads import in_threads


def add_opinions(
    layout: Layout, manifests: list[Manifest], tables: list[pa.Table], names: Collection[str]
) -> str | None:
    """Append the columns of verifiers to the pairs of each shard, in place.

    Args:
        manifests: of the shards, each with the column `key`.
        tables: their pairs.
        names: which columns; those that no verifier has are none of this module's concern.

    Returns:
        SHA-256 over the SHA-256 of all tables of second opinions in the order of their shards; None: no verifier has
        such a column.

    Raises:
        UserError: a shard lacks the opinion, or has that of another CLIP than the other shards.
        OSError: storage cannot be read.
    """
    there = layout.present("verified")
    covered = [manifest for manifest in manifests if manifest.shard in there]
    found = dict(
        zip([one.shard for one in covered], in_threads(lambda one: read_verified(layout, one), covered), strict=True)
    )
    known = {name: about for verified in found.values() for name, about in verified.verifiers.items()}
    wanted = {
        f"{name}_{part}": name
        for name in sorted(known)
        for part in schemas.VERIFIER_COLUMNS
        if f"{name}_{part}" in names
    }
    if not wanted:
        return None
    digest = hashlib.sha256()
    for index, manifest in enumerate(manifests):
        verified = found.get(manifest.shard)
        for column, name in wanted.items():
            if verified is None or name not in verified.verifiers:
                raise UserError(
                    f"{layout.table('verified', manifest.shard)} has no opinion of {name}, whose {column} is asked "
                    f"for; {advice(layout)}"
                )
            if verified.verifiers[name]["sha256"] != known[name]["sha256"]:
                raise UserError(
                    f"{layout.path('verified')}: {name} is another CLIP in shard {stem(manifest.shard)} than in "
                    f"others; delete the folder, and {advice(layout)}"
                )
            of_pairs = verified.of_pairs(manifest.table["key"])
            tables[index] = tables[index].append_column(column, of_pairs[column])
        assert verified is not None  # it has the columns
        digest.update(verified.sha256.encode())
    return digest.hexdigest()
