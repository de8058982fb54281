"""Tables of hashes: the perceptual hash of every image of a shard, beside a dataset that is whole without them.

`hashes/000123.parquet` is written when the shard is, before its manifest, which does not name it: so a dataset that was
begun by a version without hashes goes on as it was. A table counts if it has all images that the manifest's pairs were
cut from, with the same SHA-256.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline import storage
from pipeline.dataset.checked_tables import read_checked_table
from pipeline.dataset.files import Damage
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import Manifest, read_manifest
from pipeline.errors import UserError
from pipeline.storage.documents import DamagedFileError, damaged
from pipeline.storage.in_threads import in_threads


class StaleHashesError(UserError):
    """A table of hashes is of other images than the pairs of its shard."""


class HashedImage(NamedTuple):
    """One image whose file held a picture."""

    image_id: str
    image_uri: str
    image_sha256: str
    """Of its file; empty if it was never one."""
    perceptual_hash: int
    """64 bits; 0 (`perceptual_hash.PLAIN`): the picture is plain."""


def hashes_table(shard: int, images: Iterable[HashedImage]) -> pa.Table:
    """Rows of `schemas.HASHES`, one an image, in the order given."""
    return pa.Table.from_pylist([{"shard": shard, **image._asdict()} for image in images], schemas.HASHES)


def write_hashes(layout: Layout, shard: int, images: Iterable[HashedImage]) -> None:
    """Write the hashes of a shard, whole or not at all; equal content has equal bytes.

    Raises:
        OSError: storage failed.
    """
    storage.write_table(hashes_table(shard, images), layout.table("hashes", shard))


def read_hashes(layout: Layout, manifest: Manifest) -> pa.Table:
    """The hashes of a shard, `schemas.HASHES`, if they are of the images of this manifest.

    Args:
        manifest: with `image_id` and `image_sha256`, which may be null.

    Raises:
        UserError: there are none, or they are of other images (`StaleHashesError`) or damaged (`DamagedFileError`).
        OSError: storage cannot be read.
    """
    uri = layout.table("hashes", manifest.shard)
    try:
        table = read_checked_table(uri)
    except FileNotFoundError:
        raise UserError(
            f"{uri} is not there: the images of this shard have no perceptual hash, which versions of this program "
            f"before it did not write; {_advice(layout)}"
        ) from None
    if not table.schema.equals(schemas.HASHES):
        raise damaged(uri, "its columns are not those of a table of hashes")
    if any(table[name].null_count for name in table.column_names):
        raise damaged(uri, "it has nulls")
    rows = pc.index_in(manifest.table["image_id"], value_set=table["image_id"].combine_chunks())
    others = pc.not_equal(table["image_sha256"].take(rows), manifest.table["image_sha256"])
    if rows.null_count or pc.any(others).as_py():  # a manifest of an older version does not say the SHA-256
        raise StaleHashesError(
            f"{uri} is of other images than {layout.relative(manifest.uri)}: the shard was mined again since by a "
            f"version without hashes; {_advice(layout)}"
        )
    return table


def dataset_hashes(layout: Layout, shards: Iterable[int]) -> pa.Table:
    """The hashes of committed shards, `schemas.HASHES`, in the order given.

    Raises:
        UserError: as of `read_hashes`, or a manifest is damaged.
        OSError: storage cannot be read.
    """

    def read(shard: int) -> pa.Table:
        return read_hashes(layout, read_manifest(layout, shard, ["image_id"], optional=["image_sha256"]))

    return pa.concat_tables([schemas.HASHES.empty_table(), *in_threads(read, shards)]).combine_chunks()


def check_hashes(layout: Layout, manifest: Manifest) -> Iterator[Damage]:
    """Compare a table of hashes, if there is one, with the manifest of its shard; yields at most one damage."""
    file = layout.relative(layout.table("hashes", manifest.shard))
    if "image_sha256" not in manifest.table.column_names:
        return  # of a version that wrote no hashes
    if not storage.exists(layout.path(file)):
        return
    try:
        read_hashes(layout, manifest)
    except StaleHashesError:
        yield Damage(file, "made of other images than the pairs of its shard, which was mined again since")
    except DamagedFileError as error:
        yield Damage(file, f"unreadable: {error}")


def _advice(layout: Layout) -> str:
    return f"python -m jobs.inspect duplicates {layout.uri} --hash writes it"
