"""Which images of a mined dataset are copies of images that one evaluates on.

What is found stands beside the dataset, in `leakage/NAME.parquet`, so that training and evaluation can say it: see
`known_leaks`.
"""

import hashlib
import json
import re
from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline import storage
from pipeline.dataset.hashes import dataset_hashes
from pipeline.dataset.layout import COMPARISON
from pipeline.dataset.opening import MinedDataset, open_mined_dataset
from pipeline.duplicates.groups import DISTANCE, check_distance
from pipeline.duplicates.near_hashes import near_pairs
from pipeline.duplicates.other_images import OtherImage, read_other_images
from pipeline.errors import UserError
from pipeline.images.perceptual_hash import PLAIN
from pipeline.storage.secrets import redacted


@dataclass(frozen=True)
class About:
    """What was compared."""

    against: str
    """URI of a folder or mined dataset."""
    distance: int
    manifest_sha256: str
    """SHA-256 over the SHA-256 of all manifests of the dataset, in the order of their shards."""
    images: int
    """Of `against` that could be compared."""
    unreadable: int
    """Those that could not."""
    mined_images: int
    """Images of the dataset with a hash."""


@dataclass(frozen=True)
class Leakage:
    """What was found."""

    name: str
    about: About
    table: pa.Table
    """`schemas.LEAKAGE`."""

    def __str__(self) -> str:
        """One line for the terminal."""
        images, pairs = self.mined
        return (
            f"leakage {self.name}: {self.leaked} of {self.about.images} images of {self.about.against} have copies "
            f"among the mined images, {images} with {pairs} pairs"
        )

    @property
    def copies(self) -> pa.Table:
        """The rows of images that mined ones are copies of."""
        return self.table.filter(self.table["mined_image_id"].is_valid())

    @property
    def leaked(self) -> int:
        """Images of `against` that a mined image is a copy of."""
        return pc.count_distinct(self.copies["image"]).as_py()

    @property
    def mined(self) -> tuple[int, int]:
        """Mined images that are copies, and the pairs that were cut from them."""
        by_image = self.copies.group_by("mined_image_id").aggregate([("pairs", "max")])
        return len(by_image), pc.sum(by_image["pairs_max"]).as_py() or 0

    @property
    def problems(self) -> Counter[str]:
        """Reasons for which images could not be compared."""
        found = (problem.partition(":")[0] for problem in self.table["problem"].drop_null().to_pylist())
        return Counter(found)


def find_leakage(output: str, against: str, name: str | None = None, distance: int = DISTANCE) -> Leakage:
    """Compare the images of a mined dataset with others.

    An image is a copy where the files are the same, or the hashes differ in at most `distance` bits; a plain picture
    only where the files are.

    Args:
        against: a folder of images (with those below it), or another mined dataset; any fsspec URI.
        name: what the comparison is called; by default the last part of `against`.

    Raises:
        UserError: no mined dataset, one without hashes, nothing to compare with, or a setting out of range.
        OSError: storage cannot be read.
    """
    check_distance(distance, "--distance")
    name = _checked_name(name, against)
    dataset = open_mined_dataset(output)
    dataset.check_begun()
    hashes = dataset_hashes(dataset.layout, dataset.shards)
    others = list(read_other_images(against))
    keys, pairs, digest = _pairs_of(dataset)
    mined_rows, other_rows = _copies(hashes, others, distance)
    table = _table(hashes, others, mined_rows, other_rows, keys, pairs)
    unreadable = sum(image.problem is not None for image in others)
    about = About(redacted(against), distance, digest, len(others) - unreadable, unreadable, len(hashes))
    return Leakage(name, about, table)


def write_leakage(found: Leakage, folder: str) -> str:
    """Write `NAME.parquet` into a folder; returns its URI.

    Raises:
        OSError: storage failed.
    """
    uri = storage.join(folder, f"{found.name}.parquet")
    metadata = {**schemas.LEAKAGE.metadata, b"about": json.dumps(asdict(found.about), sort_keys=True).encode()}
    storage.write_table(found.table.replace_schema_metadata(metadata), uri)
    return uri


def _checked_name(name: str | None, against: str) -> str:
    if name is None:
        last = against.rstrip("/").rpartition("/")[2]
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-_")[:64] or "images"
    if not re.fullmatch(COMPARISON, name):
        raise UserError(
            f"--name: {name[:100]!r} is to be part of a file's name: give letters, digits, - and _, up to 64"
        )
    return name


def _pairs_of(dataset: MinedDataset) -> tuple[dict[str, str], Counter[str], str]:
    """Per image with pairs what their keys begin with, and how many there are; and the digest over all manifests."""
    keys: dict[str, str] = {}
    pairs: Counter[str] = Counter()
    digest = hashlib.sha256()
    for manifest in dataset.manifests(["key", "image_id"]):
        digest.update((manifest.sha256 or "").encode())
        ids = manifest.table["image_id"].to_pylist()
        pairs.update(ids)
        keys.update(zip(ids, (key.rpartition("-")[0] for key in manifest.table["key"].to_pylist()), strict=True))
    return keys, pairs, digest.hexdigest()


def _copies(hashes: pa.Table, others: list[OtherImage], distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a mined image and another one that is a copy: rows of `hashes` and indices of `others`, int64 [P]."""
    hashes_N = hashes["perceptual_hash"].to_numpy()
    telling_N = np.flatnonzero(hashes_N != PLAIN)
    telling_M = np.array([m for m, image in enumerate(others) if image.perceptual_hash], np.int64)
    wanted = np.array([others[m].perceptual_hash for m in telling_M], np.uint64)
    near = near_pairs(hashes_N[telling_N], wanted, distance)
    found = set(zip(telling_N[near[0]].tolist(), telling_M[near[1]].tolist(), strict=True))
    by_sha256: dict[str, list[int]] = {}
    for row, sha256 in enumerate(hashes["image_sha256"].to_pylist()):
        by_sha256.setdefault(sha256, []).append(row)
    for index, image in enumerate(others):
        found.update((row, index) for row in by_sha256.get(image.sha256 or "no file", ()))
    pairs = np.array(sorted(found, key=lambda pair: pair[::-1]), np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _table(
    hashes: pa.Table,
    others: list[OtherImage],
    mined_rows: np.ndarray,
    other_rows: np.ndarray,
    keys: dict[str, str],
    pairs: Counter[str],
) -> pa.Table:
    mined = hashes.take(pa.array(mined_rows)).to_pylist()
    copies: dict[int, list[dict]] = {}
    for index, row in zip(other_rows.tolist(), mined, strict=True):
        copies.setdefault(index, []).append(row)
    rows = []
    for index, image in enumerate(others):
        about = {"image": image.name, "image_sha256": image.sha256, "problem": image.problem}
        rows += [
            {
                **about,
                "mined_image_id": row["image_id"],
                "mined_image_uri": row["image_uri"],
                "distance": (row["perceptual_hash"] ^ (image.perceptual_hash or 0)).bit_count(),
                "mined_key": keys.get(row["image_id"]),
                "pairs": pairs[row["image_id"]],
            }
            for row in copies.get(index, ())
        ] or [about]
    return pa.Table.from_pylist(rows, schemas.LEAKAGE)
