"""Image–text pairs that need no mining, written as a mined dataset is, so that jobs.train reads them."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

import schemas
from pipeline import storage
from pipeline.dataset.layout import Layout, stem
from pipeline.dataset.shards import Sample, ShardsConfig, write_tar
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


def write_pairs(folder: Path, shard: int, pairs: Iterable[Pair]) -> int:
    """Write one shard: tar and manifest; returns the number of pairs."""
    layout = Layout(str(folder))
    tar = Path(layout.tar(shard))
    tar.parent.mkdir(parents=True, exist_ok=True)
    config = ShardsConfig(max_side=0)
    samples = (Sample(_row(shard, number, pair), pair.image, pair.mask) for number, pair in enumerate(pairs))
    with tar.open("wb") as file:
        rows = write_tar(samples, config, file)
    content = tar.read_bytes()
    files = {f"shards/{tar.name}": {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}}
    manifest = pa.Table.from_pylist(rows, schemas.MANIFEST)
    metadata = {**schemas.MANIFEST.metadata, b"files": json.dumps(files).encode()}
    storage.write_table(manifest.replace_schema_metadata(metadata), layout.table("manifests", shard))
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
