"""A complete dataset with kept proposals, without Ray and without models; its shards have no pairs."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

import schemas
from pipeline import storage
from pipeline.captions import write_listing
from pipeline.dataset.kept_proposals import KeptProposals, proposals_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import write_manifest
from pipeline.dataset.shards import file_checksum
from pipeline.masks.masks import Masks

IMAGES_PER_SHARD = 3


class Ids:
    """A source of these images, in this order."""

    dropped = None

    def __init__(self, ids: list[str]):
        rows = [
            dict.fromkeys(schemas.LISTING.names) | {"image_id": name, "image_uri": "", "captions": []} for name in ids
        ]
        self._rows = pa.Table.from_pylist(rows, schemas.LISTING)

    def batches(self):
        yield from self._rows.to_batches()


def kept(image_id: str, masks_KHW: np.ndarray) -> KeptProposals:
    """Proposals with falling scores."""
    return KeptProposals(
        image_id, f"{image_id}.jpg", Masks.encode(masks_KHW), np.linspace(1, 0.5, len(masks_KHW), dtype=np.float32)
    )


def write_kept_dataset(
    folder: Path,
    ids: list[str],
    proposals: dict[str, np.ndarray],
    images_per_shard: int = IMAGES_PER_SHARD,
    **changes: object,
) -> Layout:
    """A dataset that lists `ids` and kept `proposals`, masks bool [K,H,W] by image; `changes` of its configuration."""
    layout = Layout(str(folder))
    listing = write_listing(Ids(ids), layout.uri, images_per_shard)
    listed = {}
    for shard in range(listing.shards):
        names = ids[shard * images_per_shard : (shard + 1) * images_per_shard]
        rows = [kept(name, proposals[name]) for name in names if name in proposals]
        uri = layout.table("proposals", shard)
        storage.write_table(proposals_table(shard, rows), uri)
        files = {layout.relative(uri): file_checksum(uri)}
        manifest = write_manifest(layout, shard, [], files, {"images": len(names), "images_with_pairs": 0, "pairs": 0})
        listed |= files | {layout.relative(manifest): file_checksum(manifest)}
    configuration = {
        "captions": {"path": "captions.json"},
        "keep_proposals": True,
        "proposals": {"backend": "segments", "min_area": 0.001, "max_proposals": 50},
        "shards": {"images_per_shard": images_per_shard},
    }
    description = {
        "fingerprint": "0" * 64,
        "kind": "mine",
        "configuration": configuration | changes,
        "source": {"shards": listing.shards, "images": listing.images},
        "models": {"proposals": {"name": "segments", "version": "7"}},
    }
    storage.write_bytes(layout.config, yaml.safe_dump(description).encode())
    storage.write_bytes(layout.dataset, json.dumps({"files": listed}).encode())
    return layout
