"""Groups of near-duplicate images of a mined dataset."""

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline import storage
from pipeline.dataset.hashes import dataset_hashes
from pipeline.dataset.opening import open_mined_dataset
from pipeline.duplicates.near_hashes import MOST_COMPARED, group_near
from pipeline.errors import UserError
from pipeline.images.perceptual_hash import PLAIN

DISTANCE = 6
"""Bits of 64 in which near-duplicates differ at most. Of 132 COCO photographs at half their size and quality 50, 131
stay within it, and no two are nearer than 18. (Of pairs of hashes at random, one in 10¹¹ is so near.)"""
MOST_DISTANCE = 16
"""Beyond that, most groups would be of pictures that have nothing in common."""


@dataclass(frozen=True)
class Duplicates:
    """The near-duplicates among the images of a dataset."""

    images: int
    """Images that were read."""
    plain: int
    """Images without structure, which are copies only where their files are the same."""
    crowded: int
    """Hashes that were not compared with all that they might be near to: see `near_hashes.NearHashes`."""
    distance: int
    table: pa.Table
    """`schemas.DUPLICATES`: the images of groups of two and more, group by group, each in the order of the dataset."""

    @property
    def groups(self) -> int:
        """Groups of two and more images."""
        return pc.count_distinct(self.table["group"]).as_py()

    @property
    def superfluous(self) -> int:
        """Images that would go if one of each group stayed."""
        return len(self.table) - self.groups

    def remarks(self) -> list[str]:
        """What a reader of the figures has to know."""
        found = []
        if self.plain:
            found.append(
                f"{self.plain} plain images (one colour, or nearly) have no hash that tells them apart: they count as "
                "copies only where their files are the same"
            )
        if self.crowded:
            found.append(
                f"{self.crowded} hashes share many bits with more than {MOST_COMPARED} others and were compared with "
                f"{MOST_COMPARED} of them each: groups of such images may be several where they should be one"
            )
        return found


def find_duplicates(output: str, distance: int = DISTANCE) -> Duplicates:
    """Group the images of a mined dataset.

    Args:
        output: output directory of a mining job, any fsspec URI.
        distance: bits in which an image differs at most from another one of its group.

    Raises:
        UserError: no mined dataset, one without hashes, a damaged one, or a distance out of range.
        OSError: storage cannot be read.
    """
    check_distance(distance, "--distance")
    dataset = open_mined_dataset(output)
    dataset.check_begun()
    return group_images(dataset_hashes(dataset.layout, dataset.shards), distance)


def check_distance(distance: int, key: str) -> None:
    """Check that a distance makes sense.

    Raises:
        UserError: it does not, naming `key`.
    """
    if not 0 <= distance <= MOST_DISTANCE:
        raise UserError(f"{key} is {distance} bits of 64; it must be from 0 to {MOST_DISTANCE}, {DISTANCE} by default")


def group_images(hashes: pa.Table, distance: int) -> Duplicates:
    """Group images by their hashes.

    Args:
        hashes: `schemas.HASHES`, in the order of the dataset.
    """
    first_N, plain, crowded = first_of_groups(hashes, distance)
    in_group_N = np.bincount(first_N, minlength=len(hashes))[first_N] > 1
    rows = np.flatnonzero(in_group_N)
    rows = rows[np.argsort(first_N[rows], kind="stable")]
    values = hashes["perceptual_hash"].to_numpy()
    groups = np.unique(first_N[rows], return_inverse=True)[1]
    columns = {
        "group": pa.array(groups, pa.int64()),
        "distance": pa.array(np.bitwise_count(values[rows] ^ values[first_N[rows]]), pa.int32()),
    }
    found = hashes.take(pa.array(rows)).replace_schema_metadata(None)
    for name, column in columns.items():
        found = found.append_column(name, column)
    table = found.select(schemas.DUPLICATES.names).cast(schemas.DUPLICATES)
    return Duplicates(len(hashes), plain, crowded, distance, table)


def first_of_groups(hashes: pa.Table, distance: int) -> tuple[np.ndarray, int, int]:
    """Of each image the first one of its group.

    Args:
        hashes: `schemas.HASHES`.

    Returns:
        int64 [N], rows of `hashes`; how many images are plain; how many hashes are crowded.
    """
    hashes_N = hashes["perceptual_hash"].to_numpy()
    plain_N = hashes_N == PLAIN
    telling, plain = np.flatnonzero(~plain_N), np.flatnonzero(plain_N)
    first_N = np.arange(len(hashes_N))
    near = group_near(hashes_N[telling], distance)
    first_N[telling] = telling[near.first]
    files = pc.dictionary_encode(hashes["image_sha256"].combine_chunks()).indices.to_numpy()[plain]
    of_no_file = pc.equal(hashes["image_sha256"], "").to_numpy()[plain]
    _, first, of_file = np.unique(files, return_index=True, return_inverse=True)
    first_N[plain] = np.where(of_no_file, plain, plain[first[of_file]])
    return first_N, len(plain), near.crowded


def write_duplicates(found: Duplicates, uri: str) -> None:
    """Write the table of groups, as Parquet or, where the name ends in .json, as a JSON list of rows.

    Raises:
        OSError: storage failed.
    """
    if uri.endswith(".json"):
        storage.write_bytes(uri, json.dumps(found.table.to_pylist(), ensure_ascii=False, indent=1).encode())
    else:
        storage.write_table(found.table, uri)
