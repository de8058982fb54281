"""Small mined datasets, written without mining."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

import schemas
from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_whole_manifest
from pipeline.dataset.quality import write_quality
from pipeline.dataset.shards import ShardsConfig, commit_shard, image_key
from pipeline.microworld.pair_shards import describe_pairs
from tests.shard_samples import make_sample

NOUNS = ("zebra", "apple", "dog")


def negatives_of(number: int, pair: int) -> list[str]:
    """The hard negatives of a pair of `write_dataset`: up to four, one of them its noun's neighbour in NOUNS."""
    return [NOUNS[(number + pair + 1) % len(NOUNS)], f"cart {number}", f"wagon {pair}", "tram"][: number % 5]


def write_dataset(
    folder: Path, shards: int = 3, images: int = 4, side: int = 16, complete: bool = True, negatives: bool = False
) -> Path:
    """`shards` of `images` with two pairs each; image and mask of every pair are its own.

    Image `n` of the dataset has the id `image-n`; pair `p` of it has the clip_score `n / 100 + p / 1000` and a noun of
    NOUNS in turn; with `negatives` also `negatives_of` it.
    """
    layout, rng = Layout(str(folder)), np.random.default_rng(0)
    describe_pairs(folder, shards, shards * images)
    files = {}
    for shard in range(shards):
        storage.write_table(schemas.CAPTIONS.empty_table(), layout.table("captions", shard))
        samples = []
        for image in range(images):
            number = shard * images + image
            for pair in range(2):
                mask = rng.random((side, side)) < 0.7
                mask[0, pair] = True
                key = f"{image_key(shard, image)}-{pair:03d}"
                sample = make_sample(mask, key, NOUNS[(number + pair) % len(NOUNS)], f"image-{number}")
                sample.row.update(shard=shard, clip_score=number / 100 + pair / 1000)
                if negatives:
                    sample.row["negatives"] = negatives_of(number, pair)
                sample.image[...] = rng.integers(0, 256, (side // 4, side // 4, 3)).repeat(4, 0).repeat(4, 1)
                samples.append(sample)
        commit_shard(layout, shard, images, samples, [], [], ShardsConfig())
        digest, size = storage.sha256(layout.table("manifests", shard))
        files[f"manifests/{shard:06d}.parquet"] = {"sha256": digest, "bytes": size}
    if complete:
        storage.write_bytes(layout.dataset, json.dumps({"files": files}).encode())
    return folder


def list_images(folder: Path, pictures: Path, shards: int = 3, images: int = 4, side: int = 40) -> list[Path]:
    """Say in the captions tables of `write_dataset` where its images are, and draw them: JPEG files, two captions each.

    Returns:
        the files, in the order of the images.
    """
    layout, rng, files = Layout(str(folder)), np.random.default_rng(1), []
    pictures.mkdir()
    for shard in range(shards):
        rows = []
        for number in range(shard * images, (shard + 1) * images):
            pixels = rng.integers(0, 256, (side // 8, side // 4, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            files.append(pictures / f"{number}.jpg")
            Image.fromarray(pixels).save(files[-1], quality=95)
            rows.append(
                dict.fromkeys(schemas.CAPTIONS.names)
                | {
                    "image_id": f"image-{number}",
                    "image_uri": str(files[-1]),
                    "captions": [f"{text} {number}" for text in ("a boat", "grass and apples")],
                    "captions_used": 1,
                    "caption_problems": [],
                    "nouns": [],
                }
            )
        storage.write_table(pa.Table.from_pylist(rows, schemas.CAPTIONS), layout.table("captions", shard))
    return files


def judge(folder: Path, seed: int = 0) -> None:
    """Write a quality table for every shard, with probabilities as `p_right` draws them."""
    layout = Layout(str(folder))
    for shard in sorted(layout.committed()):
        manifest = read_whole_manifest(layout, shard)
        write_quality(layout, manifest, p_right(len(manifest.table), shard, seed), {"model": "drawn"})


def p_right(count: int, shard: int, seed: int = 0) -> np.ndarray:
    """Probabilities for the pairs of a shard, float32 [count]."""
    return np.random.default_rng((seed, shard)).random(count).astype(np.float32)


def tar(folder: Path, shard: int) -> Path:
    """The tar of a shard."""
    return folder / "shards" / f"{shard:06d}.tar"


def manifest(folder: Path, shard: int) -> Path:
    """The manifest of a shard."""
    return folder / "manifests" / f"{shard:06d}.parquet"
