"""Image–text pairs that need no mining, written as a mined dataset is, so that jobs.train reads them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from pipeline import storage
from pipeline.dataset.layout import Layout, stem
from pipeline.dataset.manifests import write_manifest
from pipeline.dataset.shards import Sample, ShardsConfig, file_checksum, write_tar
from pipeline.masks.masks import Masks


@dataclass(frozen=True)
class Pair:
    """A region and its text."""

    image_id: str
    image: np.ndarray
    """uint8 [H,W,3]."""
    mask: np.ndarray
    """bool [H,W], with at least one pixel."""
    text: str


def describe_pairs(folder: Path, shards: int, images: int) -> None:
    """Write the `config.yaml` without which nothing is taken for a dataset.

    Args:
        shards, images: that it has when it is complete.
    """
    description = {
        "fingerprint": "",  # nobody mines into it
        "kind": "mine",
        "configuration": {"captions": {"format": "microworld", "path": folder.name}},
        "models": {},
        "source": {"shards": shards, "images": images},
    }
    storage.write_bytes(Layout(str(folder)).config, yaml.safe_dump(description, sort_keys=False).encode())


def write_pairs(folder: Path, shard: int, pairs: Iterable[Pair]) -> int:
    """Write one shard: tar and manifest; returns the number of pairs."""
    layout = Layout(str(folder))
    tar = Path(layout.tar(shard))
    tar.parent.mkdir(parents=True, exist_ok=True)
    config = ShardsConfig(max_side=0)
    samples = (Sample(_row(shard, number, pair), pair.image, pair.mask) for number, pair in enumerate(pairs))
    with tar.open("wb") as file:
        rows = write_tar(samples, config, file)
    images = len({row["image_id"] for row in rows})
    counts = {"images": images, "images_with_pairs": images, "pairs": len(rows)}
    write_manifest(layout, shard, rows, {f"shards/{tar.name}": file_checksum(str(tar))}, counts)
    return len(rows)


def _row(shard: int, number: int, pair: Pair) -> dict:
    """The row of a manifest; what only mining knows has the value of a certain match."""
    height, width = pair.mask.shape
    masks = Masks.encode(pair.mask[None])
    [mask], [box] = masks, masks.boxes().tolist()
    return {
        "key": f"{stem(shard)}-{number:06d}",
        "shard": shard,
        "image_id": pair.image_id,
        "image_uri": "",
        "image_width": width,
        "image_height": height,
        "original_width": width,
        "original_height": height,
        "image_bytes": 0,
        "image_sha256": "",
        "noun": pair.text,
        "surface": pair.text,
        "caption": pair.text,
        "caption_index": 0,
        "char_start": 0,
        "char_end": len(pair.text),
        **dict(zip(("box_x0", "box_y0", "box_x1", "box_y1"), box, strict=True)),
        "mask_rle": mask.decode(),
        "mask_area": int(pair.mask.sum()),
        "proposal_index": 0,
        "proposal_score": 1.0,
        "clip_score": 1.0,
        "noun_margin": None,
        "mask_margin": None,
    }
