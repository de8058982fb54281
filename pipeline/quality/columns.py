"""What the manifests say of all pairs, as NumPy arrays; P pairs, N nouns, in the order of the shards.

A million pairs are about 100 MB. Texts are held once each (nouns) or by Arrow (keys).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.manifests import Manifest
from pipeline.dataset.opening import MinedDataset
from pipeline.errors import UserError

_NUMBERS = {"clip_score": "score", "noun_margin": "noun_margin", "mask_margin": "mask_margin"}
_NUMBERS |= {"proposal_score": "proposal_score", "proposal_index": "proposal_index", "area": "area"}
_READ = ["key", "image_id", "noun", "clip_score", "noun_margin", "mask_margin", "mask_area", "image_width"]
_READ += ["image_height", "proposal_index", "proposal_score"]


@dataclass(frozen=True)
class PairColumns:
    """All pairs of a dataset."""

    shards: tuple[int, ...]
    """Committed shards, rising."""
    manifest_sha256: tuple[str, ...]
    """Of the manifest of each."""
    starts: np.ndarray
    """int64 [shards + 1]: row of the first pair of each shard, and P."""
    keys: pa.ChunkedArray
    """Keys of the pairs."""
    nouns: tuple[str, ...]
    """All nouns, sorted."""
    noun: np.ndarray
    """int32 [P], index into `nouns`."""
    image: np.ndarray
    """int32 [P], from 0 in the order of appearance."""
    score: np.ndarray
    """float32 [P], `clip_score`."""
    noun_margin: np.ndarray
    """float32 [P], nan where the image has one noun."""
    mask_margin: np.ndarray
    """float32 [P], nan where the image has one mask."""
    area: np.ndarray
    """float32 [P], share of the image that the mask covers."""
    proposal_index: np.ndarray
    """float32 [P], rank of the mask among the image's proposals, from 0."""
    proposal_score: np.ndarray
    """float32 [P]."""

    def __len__(self) -> int:
        return len(self.score)

    @property
    def manifests_sha256(self) -> str:
        """SHA-256 over the hexadecimal SHA-256 of all manifests in the order of their shards."""
        return hashlib.sha256("".join(self.manifest_sha256).encode()).hexdigest()

    @cached_property
    def noun_pairs(self) -> np.ndarray:
        """int64 [N]: pairs of each noun."""
        return np.bincount(self.noun, minlength=len(self.nouns))

    @cached_property
    def noun_score(self) -> np.ndarray:
        """float64 [N]: mean score of the pairs of each noun."""
        return self.mean_by_noun(self.score)

    @cached_property
    def image_pairs(self) -> np.ndarray:
        """int64 [images]: pairs of each image."""
        return np.bincount(self.image)

    @cached_property
    def rank(self) -> np.ndarray:
        """int64 [P]: pairs of the same image that score higher."""
        order = np.lexsort((-self.score, self.image))
        starts = np.cumsum(self.image_pairs) - self.image_pairs
        rank = np.empty(len(self), np.int64)
        rank[order] = np.arange(len(self)) - starts[self.image[order]]
        # Equal scores have equal ranks: that of the first of them.
        tied = np.zeros(len(self), bool)
        tied[1:] = (np.diff(self.score[order]) == 0) & (np.diff(self.image[order]) == 0)
        first = np.maximum.accumulate(np.where(tied, 0, np.arange(len(self))))
        rank[order] = rank[order[first]]
        return rank

    @cached_property
    def sharing(self) -> np.ndarray:
        """int64 [P]: nouns that have the same mask of the same image, at least 1."""
        mask = self.image.astype(np.int64) * (int(self.proposal_index.max(initial=0)) + 1)
        _, masks = np.unique(mask + self.proposal_index.astype(np.int64), return_inverse=True)
        # Of one noun there may be several phrases.
        different = np.unique(masks * len(self.nouns) + self.noun) // max(len(self.nouns), 1)
        return np.bincount(different, minlength=1)[masks]

    def mean_by_noun(self, values: np.ndarray) -> np.ndarray:
        """float64 [N]: the mean of values [P] over the pairs of each noun, nan left out; nan for a noun without any."""
        known = np.isfinite(values)
        size = len(self.nouns)
        sums = np.bincount(self.noun[known], np.asarray(values, np.float64)[known], size)
        counts = np.bincount(self.noun[known], minlength=size)
        return np.divide(sums, counts, out=np.full(size, np.nan), where=counts > 0)

    def rows_of(self, keys: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """int64 [P]: by pair the index of its key among `keys`, -1 where it is not there."""
        if isinstance(keys, pa.ChunkedArray):
            keys = keys.combine_chunks()
        return pc.fill_null(pc.index_in(self.keys, value_set=keys), -1).to_numpy().astype(np.int64)


def read_columns(dataset: MinedDataset) -> PairColumns:
    """Read the columns of all committed shards.

    Raises:
        UserError: nothing is committed, no shard has a pair, or a manifest is damaged.
        OSError: storage cannot be read.
    """
    dataset.check_begun()
    digests: list[str] = []
    images: dict[str, int] = {}
    codes: list[np.ndarray] = []
    tables = list(_read(dataset, digests, images, codes))
    table = pa.concat_tables(tables)
    if not len(table):
        raise UserError(
            f"{dataset.layout.uri}: none of its {len(tables)} shards has a pair, so there is nothing to judge"
        )
    noun = pc.dictionary_encode(table["noun"]).combine_chunks()
    names = noun.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), np.int32)
    place[order] = np.arange(len(names), dtype=np.int32)
    return PairColumns(
        tuple(dataset.shards),
        tuple(digests),
        np.cumsum([0, *map(len, tables)]),
        table["key"],
        tuple(names[index] for index in order),
        place[noun.indices.to_numpy()],
        np.concatenate(codes),
        **{name: table[column].to_numpy().astype(np.float32) for column, name in _NUMBERS.items()},
    )


def _read(
    dataset: MinedDataset, digests: list[str], images: dict[str, int], codes: list[np.ndarray]
) -> Iterator[pa.Table]:
    for manifest in dataset.manifests(_READ):
        table = manifest.table
        digests.append(str(manifest.sha256))
        identifiers = table["image_id"].to_pylist()
        codes.append(np.array([images.setdefault(name, len(images)) for name in identifiers], np.int32))
        _check_known(manifest)
        pixels = pc.multiply(table["image_width"].cast(pa.int64()), table["image_height"].cast(pa.int64()))
        area = pc.divide(table["mask_area"].cast(pa.float64()), pixels.cast(pa.float64()))
        columns = ["key", "noun", "clip_score", "noun_margin", "mask_margin", "proposal_index", "proposal_score"]
        yield table.select(columns).append_column("area", area)


def _check_known(manifest: Manifest) -> None:
    """Check that what must be a number is one.

    Raises:
        UserError: naming the manifest and the column.
    """
    for name in ("clip_score", "mask_area", "proposal_index", "proposal_score", "noun", "image_id"):
        column = manifest.table[name]
        good = not column.null_count
        if good and pa.types.is_floating(column.type):
            good = bool(np.isfinite(column.to_numpy()).all())
        if not good:
            raise UserError(
                f"{manifest.uri} has pairs without {name}, or with one that is no number; see python -m jobs.inspect "
                "OUTPUT --verify"
            )
