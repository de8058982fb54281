"""The tables of a mined dataset as arrays, read shard by shard."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.dataset.checked_tables import parse_columns
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import Manifest, read_manifest
from pipeline.dataset.statistics import read_statistics
from pipeline.storage.in_threads import in_threads

_COLUMNS = [
    "image_id",
    "noun",
    "image_width",
    "image_height",
    "mask_area",
    "proposal_index",
    "clip_score",
    "noun_margin",
    "mask_margin",
    "tar_offset",
    "tar_length",
]
_OF_REJECTS = ["caption_index", "stage", "reason"]


@dataclass(frozen=True)
class Pairs:
    """All pairs of the committed shards, in the order of the shards and their rows; 52 bytes each. P pairs."""

    nouns: list[str]
    """Every noun that has a pair, in the order of its first."""
    shard: np.ndarray
    """int32 [P]."""
    image: np.ndarray
    """int32 [P]: images are numbered through all shards; those without pairs have no number."""
    noun: np.ndarray
    """int32 [P], index into `nouns`."""
    proposal: np.ndarray
    """int32 [P]: index of the mask among the image's proposals."""
    score: np.ndarray
    """float32 [P], cosine similarity."""
    noun_margin: np.ndarray
    """float32 [P], nan where the image has one noun."""
    mask_margin: np.ndarray
    """float32 [P], nan where the image has one mask."""
    area: np.ndarray
    """int64 [P], pixels of the mask."""
    area_share: np.ndarray
    """float32 [P], share of the image's pixels, 0..1."""
    tar_offset: np.ndarray
    """int64 [P], bytes."""
    tar_length: np.ndarray
    """int32 [P], bytes."""

    def __len__(self) -> int:
        return len(self.shard)


@dataclass
class Totals:
    """What the committed shards count, besides their pairs."""

    images: int = 0
    images_with_pairs: int = 0
    proposals: int = 0
    """Masks that CLIP looked at."""
    rejected: Counter = field(default_factory=Counter)
    """Images that gave nothing, by `stage: reason`."""
    skipped: Counter = field(default_factory=Counter)
    """Captions that gave nothing, by `stage: reason`."""
    unanswered: Counter = field(default_factory=Counter)
    """Nouns that no proposal answers, by `stage: reason`."""
    not_found: Counter = field(default_factory=Counter)
    """Images that were asked for it in vain, by noun (or phrase, where these were asked for)."""
    seconds: dict[int, dict[str, float]] = field(default_factory=dict)
    """Worker seconds by shard and stage; shards whose worker died before it wrote them have none."""


@dataclass(frozen=True)
class _Shard:
    manifest: Manifest
    counts: dict
    rejects: pa.Table
    statistics: dict


def read_pairs(layout: Layout, shards: Sequence[int]) -> tuple[Pairs, Totals]:
    """Read manifests, rejects and statistics of committed shards.

    Raises:
        UserError: a manifest of an older version.
        OSError: storage cannot be read.
    """
    totals, codes = Totals(), NounCodes()
    columns: dict[str, list[np.ndarray]] = {name: [] for name in Pairs.__annotations__ if name != "nouns"}
    images = 0
    for shard in in_threads(lambda number: _read_shard(layout, number), shards):
        number = shard.manifest.shard
        totals.images += shard.counts["images"]
        totals.images_with_pairs += shard.counts["images_with_pairs"]
        totals.proposals += shard.statistics["regions"]
        totals.seconds[number] = shard.statistics["seconds"]
        for row in shard.rejects.to_pylist():
            # Proposals reject images, and nouns that they were asked for, but no captions.
            of_caption = totals.unanswered if row["stage"] == "proposals" else totals.skipped
            counter = totals.rejected if row["caption_index"] is None else of_caption
            counter[f"{row['stage']}: {row['reason']}"] += 1
            if row["reason"] == "not_found" and isinstance(row.get("noun"), str):  # older tables name none
                totals.not_found[row["noun"]] += 1
        table = shard.manifest.table
        numbers = {name: table[name].to_numpy() for name in _COLUMNS[2:]}
        image = table["image_id"].combine_chunks().dictionary_encode()
        columns["shard"].append(np.full(len(table), number, np.int32))
        columns["image"].append(image.indices.to_numpy() + np.int32(images))
        images += len(image.dictionary)
        columns["noun"].append(codes.of(table["noun"]))
        columns["proposal"].append(numbers["proposal_index"])
        columns["score"].append(numbers["clip_score"])
        columns["area"].append(numbers["mask_area"])
        pixels = numbers["image_width"].astype(np.float64) * numbers["image_height"]
        columns["area_share"].append((numbers["mask_area"] / pixels).astype(np.float32))
        columns["tar_length"].append(numbers["tar_length"].astype(np.int32))
        for name in ("noun_margin", "mask_margin", "tar_offset"):
            columns[name].append(numbers[name])
    return Pairs(codes.nouns, **{name: _together(name, parts) for name, parts in columns.items()}), totals


class NounCodes:
    """Numbers for nouns, in the order in which they come."""

    def __init__(self) -> None:
        self.nouns: list[str] = []
        self._codes: dict[str, int] = {}

    def of(self, column: pa.ChunkedArray) -> np.ndarray:
        """The numbers of a column of nouns, int32."""
        encoded = column.combine_chunks().dictionary_encode()
        numbers = [self._code(noun) for noun in encoded.dictionary.to_pylist()]
        return np.array(numbers, np.int32)[encoded.indices.to_numpy()]

    def _code(self, noun: str) -> int:
        if noun not in self._codes:
            self._codes[noun] = len(self.nouns)
            self.nouns.append(noun)
        return self._codes[noun]


def _read_shard(layout: Layout, shard: int) -> _Shard:
    manifest = read_manifest(layout, shard, _COLUMNS)
    uri = layout.table("rejects", shard)
    with storage.open_input(uri) as file:
        rejects = parse_columns(file, uri, [*_OF_REJECTS, "noun"], _OF_REJECTS)
    return _Shard(manifest, manifest.counts, rejects, read_statistics(layout, shard))


def _together(name: str, parts: list[np.ndarray]) -> np.ndarray:
    kinds = {"area": np.int64, "tar_offset": np.int64}
    floats = dict.fromkeys(("score", "noun_margin", "mask_margin", "area_share"), np.float32)
    kind = (kinds | floats).get(name, np.int32)
    return np.concatenate([np.zeros(0, kind), *(part.astype(kind, copy=False) for part in parts)])
