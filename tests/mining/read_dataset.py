"""A dataset of image files that the steps of mining read and commit, without models and without Ray."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from PIL import Image

import schemas
from pipeline import storage
from pipeline.captions import read_shard, write_listing
from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import ShardsConfig, commit_shard, image_key
from pipeline.dataset.vocabulary import Vocabulary, vocabulary_table
from pipeline.images import ImagesConfig
from pipeline.mining.steps.read_images import ReadImages
from tests.shard_samples import make_sample

SHARDS, IMAGES = 5, 3
BEGUN = 1_700_000_000
"""When the dataset was begun, in seconds since 1970."""


class Source:
    """Rows of a listing, made up."""

    dropped = None

    def __init__(self, uris: list[str]):
        rows = [
            dict.fromkeys(schemas.LISTING.names) | {"image_id": f"{index:03d}", "image_uri": uri, "captions": ["a dog"]}
            for index, uri in enumerate(uris)
        ]
        self.rows = pa.Table.from_pylist(rows, schemas.LISTING)

    def batches(self):
        yield from self.rows.to_batches()


def picture(number: int) -> bytes:
    """An image of a colour of its own; all have the same size in bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (number, 9 * number, 255 - number)).save(buffer, "BMP")
    return buffer.getvalue()


def make(folder: Path, uris: list[str]) -> Layout:
    """A dataset in `folder/mined` of these images, a pair each, read by mining's own step and committed as it does."""
    layout, source = Layout(str(folder / "mined")), Source(uris)
    listing = write_listing(source, layout.uri, IMAGES)
    vocabulary = Vocabulary(vocabulary_table(["dog"], [len(uris)], np.ones((1, 2), np.float32)))
    noun = {"noun": "dog", "surface": "dog", "caption_index": 0, "char_start": 2, "char_end": 5}
    for number in range(listing.shards):
        rows = [
            row | {"captions_used": 1, "caption_problems": [""], "nouns": [noun]}
            for row in read_shard(layout.uri, number).to_pylist()
        ]
        storage.write_table(pa.Table.from_pylist(rows, schemas.CAPTIONS), layout.table("captions", number))
        shard = ReadImages(layout, ImagesConfig(), vocabulary)(number, lambda *_: None)
        samples = []
        for image in shard.remaining():
            sample = make_sample(
                np.ones((image.jpeg.height, image.jpeg.width), bool), f"{image_key(number, image.index)}-000"
            )
            sample.row.update(
                shard=number, image_uri=image.row["image_uri"], image_id=image.row["image_id"],
                image_bytes=image.file_bytes, image_sha256=image.file_sha256,
            )  # fmt: skip
            samples.append(sample)
        commit_shard(layout, number, len(shard.images), samples, [], shard.rejects, ShardsConfig())
    description = {
        "fingerprint": "0" * 64,
        "configuration": {"captions": {"path": "x"}, "shards": {"images_per_shard": IMAGES}},
        "models": {},
        "source": {"images": listing.images, "shards": listing.shards, "sha256": listing.sha256},
    }
    config = folder / "mined" / "config.yaml"
    config.write_text(yaml.safe_dump(description))
    os.utime(config, (BEGUN, BEGUN))
    return layout
