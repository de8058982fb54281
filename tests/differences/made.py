"""Mined datasets of which every pair, candidate, caption and reject is known, in the files that mining writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

import schemas
from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import Sample, ShardsConfig, commit_shard, image_key
from pipeline.dataset.vocabulary import vocabulary_table
from pipeline.masks import rle

Found = tuple[np.ndarray, float]
"""A mask, bool [H,W], and its score."""


@dataclass
class MadeImage:
    """An image of a source, and what came of it."""

    image_id: str
    pairs: dict[str, Found] = field(default_factory=dict)
    """By noun."""
    candidates: dict[str, list[Found]] = field(default_factory=dict)
    """By noun, best first; of a noun that is not here, its pair."""
    nouns: list[str] | None = None
    """Found in the captions; None: those that have pairs or candidates."""
    caption: str = "a caption"
    rejected: str | None = None
    """`stage: reason`."""
    sha256: str = "0" * 64
    phrases: bool = False
    """What is called a noun above are phrases, whose last words are the nouns."""

    def named(self, text: str) -> dict:
        """Noun and phrase of a pair by what it is called above."""
        return {"noun": text.split()[-1], "phrase": text} if self.phrases else {"noun": text, "phrase": None}


def rectangle(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (12, 16)) -> np.ndarray:
    """A mask bool [H,W] of a frame of height × width `size`."""
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def write_dataset(
    folder: Path,
    images: Sequence[MadeImage],
    *,
    per_shard: int = 4,
    vocabulary: Mapping[str, bool] | None = None,
    complete: bool = True,
    configuration: Mapping | None = None,
    clip: str = "0" * 64,
) -> Path:
    """Write them in the given order.

    Args:
        vocabulary: whether each noun is kept; None: all that were found in captions are.
    """
    layout = Layout(str(folder))
    shards = range(0, len(images), per_shard)
    for shard, start in enumerate(shards):
        _write_shard(layout, shard, images[start : start + per_shard])
    named = sorted({image.named(noun)["noun"] for image in images for noun in _nouns(image)})
    kept = vocabulary if vocabulary is not None else dict.fromkeys(named, True)
    order = sorted(kept, key=lambda noun: (not kept[noun], noun))
    counts = [sum(noun in [image.named(each)["noun"] for each in _nouns(image)] for image in images) for noun in order]
    embeddings = np.ones((sum(kept.values()), 2), np.float32)
    storage.write_table(vocabulary_table(order, counts, embeddings), layout.vocabulary)
    description = {
        "kind": "mine",
        "recipe": 1,
        "fingerprint": "0" * 64,
        "configuration": {
            "captions": {"format": "table", "path": "captions.parquet"},
            "regions": {"fill": "mean", "expand": 1.0},
            "clip": {"templates": "vild"},
        }
        | dict(configuration or {}),
        "source": {"shards": len(shards), "images": len(images)},
        "models": {"clip": {"sha256": clip}},
        "schemas": {"version": schemas.VERSION},
        "versions": {},
    }
    storage.write_bytes(layout.config, yaml.safe_dump(description).encode())
    if complete:
        storage.write_bytes(layout.dataset, b"{}")
    return folder


def _nouns(image: MadeImage) -> list[str]:
    return list(dict.fromkeys([*image.pairs, *image.candidates])) if image.nouns is None else image.nouns


def _write_shard(layout: Layout, shard: int, images: Sequence[MadeImage]) -> None:
    samples, candidates, rejects, captions = [], [], [], []
    for index, image in enumerate(images):
        about = {"shard": shard, "image_id": image.image_id, "image_uri": f"{image.image_id}.jpg"}
        place = {"surface": "", "caption_index": 0, "char_start": 0, "char_end": 0}
        captions.append(
            dict.fromkeys(schemas.CAPTIONS.names)
            | {"image_id": image.image_id, "image_uri": about["image_uri"], "captions": [image.caption]}
            | {"captions_used": 1, "caption_problems": [""]}
            | {"nouns": [image.named(noun) | place for noun in _nouns(image)]}
        )
        for noun in dict.fromkeys([*image.candidates, *image.pairs]):
            found = image.candidates.get(noun) or [image.pairs[noun]]
            candidates += [about | _region(*one) | image.named(noun) | {"rank": rank} for rank, one in enumerate(found)]
        if image.rejected or not image.pairs:
            stage, reason = (image.rejected or "matching: all_filtered").split(": ")
            rejects.append(about | {"caption_index": None, "stage": stage, "reason": reason, "detail": ""})
            continue
        for number, (noun, (mask, score)) in enumerate(image.pairs.items()):
            height, width = mask.shape
            row = about | _region(mask, score) | place | {"key": f"{image_key(shard, index)}-{number:03d}"}
            row |= image.named(noun) | {"surface": noun, "caption": image.caption, "mask_margin": None}
            row |= {"original_width": width, "original_height": height, "image_bytes": 9, "image_sha256": image.sha256}
            # Noise, the same wherever the image is mined: every region is another one to a CLIP.
            noise = np.random.default_rng(list(image.image_id.encode())).integers(0, 256, (height, width, 3), np.uint8)
            samples.append(Sample(row, noise, mask))
    storage.write_table(pa.Table.from_pylist(captions, schemas.CAPTIONS), layout.table("captions", shard))
    commit_shard(layout, shard, len(images), samples, candidates, rejects, ShardsConfig())


def _region(mask: np.ndarray, score: float) -> dict:
    height, width = mask.shape
    [code] = rle.encode(mask[None])
    [box] = rle.boxes([code], height, width).tolist()
    return {
        "image_width": width,
        "image_height": height,
        **dict(zip(("box_x0", "box_y0", "box_x1", "box_y1"), box, strict=True)),
        "mask_rle": code.decode(),
        "mask_area": int(mask.sum()),
        "proposal_index": 0,
        "proposal_score": 1.0,
        "clip_score": score,
        "noun_margin": None,
    }
