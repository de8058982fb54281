"""How long the differences of two large datasets take, and how much memory.

    python -m tests.benchmarks.differences [--pairs 1000000] [--moved 0.3] [--keep FOLDER]

Makes two datasets of that many pairs each in the files that mining writes, but for the tars: masks from a pool, images
in opposite orders and in shards of other sizes, some images and nouns in one of them alone, a share of the pairs with
another mask, a share with another score. Then compares them, in a process of its own, by the command line.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import yaml

import schemas
from pipeline import storage
from pipeline.dataset.layout import Layout, stem
from pipeline.dataset.vocabulary import vocabulary_table
from pipeline.masks import rle

_HEIGHT, _WIDTH, _POOL, _CORNERS = 480, 640, 3000, 24
_NOUNS, _NOUNS_PER_IMAGE, _CANDIDATES = 4000, 8, 5
_DROPPED, _SHIFTED = 0.05, 0.2
"""Of the images and of the nouns of each image; of the scores."""


def mask_pool(generator: np.random.Generator) -> dict[str, pa.Array]:
    """Columns of a manifest that describe masks: outlines with many corners, as proposals have them."""
    codes = []
    for _ in range(_POOL):
        mask = np.zeros((_HEIGHT, _WIDTH), np.uint8)
        angles = np.sort(generator.random(_CORNERS)) * 2 * np.pi
        radius = generator.integers(10, 150) * (0.7 + 0.3 * generator.random(_CORNERS))
        centre = generator.integers((50, 50), (_WIDTH - 50, _HEIGHT - 50))
        outline = centre + np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
        cv2.fillPoly(mask, [outline.astype(np.int32)], 1)
        codes += rle.encode(mask[None])
    boxes = rle.boxes(codes, _HEIGHT, _WIDTH).astype(np.int32)
    columns = {f"box_{edge}": pa.array(boxes[:, index]) for index, edge in enumerate(("x0", "y0", "x1", "y1"))}
    columns["mask_rle"] = pa.array([code.decode() for code in codes])
    columns["mask_area"] = pa.array(rle.areas(codes, _HEIGHT, _WIDTH))
    print(f"codes of {np.mean([len(code) for code in codes]):.0f} characters")
    return columns


def make_dataset(
    folder: Path, pool: dict, images: np.ndarray, per_shard: int, changes: tuple[float, float, int]
) -> int:
    """Write a dataset of these images, in their order; returns the number of pairs.

    Args:
        images: numbers, int64. The nouns, masks and scores of an image follow from its number.
        changes: the shares of pairs with another mask and with another score, and a seed for which these are.
    """
    layout = Layout(str(folder))
    names = np.array([f"noun {number}" for number in range(_NOUNS)], dtype=object)
    total = 0
    for shard, start in enumerate(range(0, len(images), per_shard)):
        total += _write_shard(layout, shard, pool, images[start : start + per_shard], names, changes)
    shards = -(-len(images) // per_shard)
    embeddings = np.ones((_NOUNS, 8), np.float32)
    storage.write_table(vocabulary_table(list(names), [9] * _NOUNS, embeddings), layout.vocabulary)
    description = {
        "kind": "mine",
        "fingerprint": "0" * 64,
        "configuration": {"captions": {"path": "captions.json"}, "clip": {"templates": "vild"}},
        "models": {"clip": {"sha256": "0" * 64}},
        "source": {"shards": shards, "images": len(images)},
    }
    storage.write_bytes(layout.config, yaml.safe_dump(description).encode())
    storage.write_bytes(layout.dataset, b"{}")
    return total


def _write_shard(
    layout: Layout, shard: int, pool: dict, images: np.ndarray, names: np.ndarray, changes: tuple[float, float, int]
) -> int:
    moved, shifted, seed = changes
    image = np.repeat(images, _NOUNS_PER_IMAGE)
    place = np.tile(np.arange(_NOUNS_PER_IMAGE), len(images))
    pair = image * _NOUNS_PER_IMAGE + place
    noun = (_hashed(image, 1) + place * 31) % _NOUNS
    captions = pa.table(
        {
            "image_id": pa.array([f"{number:012d}" for number in images.tolist()]),
            "captions": pa.array([[f"the image {number} with things"] for number in images.tolist()]),
            "nouns": pa.ListArray.from_arrays(
                np.arange(0, len(image) + 1, _NOUNS_PER_IMAGE),
                pa.StructArray.from_arrays(
                    [pa.array(names[noun]), pa.array(names[noun]), *[pa.array(np.zeros(len(noun), np.int32))] * 3],
                    fields=list(schemas.CAPTIONS.field("nouns").type.value_type),
                ),
            ),
        }
    )
    kept = _hashed(pair, 2 + seed) % 1000 >= 1000 * _DROPPED
    image, place, pair, noun = image[kept], place[kept], pair[kept], noun[kept]
    mask = _hashed(pair, 3) % _POOL
    mask = np.where(_hashed(pair, 4 + seed) % 1000 < 1000 * moved, (mask + 1) % _POOL, mask)
    score = (_hashed(pair, 5) % 10000 / 50000).astype(np.float32)
    score += np.where(_hashed(pair, 6 + seed) % 1000 < 1000 * shifted, 0.05, 0).astype(np.float32)
    rows = len(pair)
    common = {
        "image_id": pa.array([f"{number:012d}" for number in image.tolist()]),
        "noun": pa.array(names[noun]),
        "image_width": pa.array(np.full(rows, _WIDTH, np.int32)),
        "image_height": pa.array(np.full(rows, _HEIGHT, np.int32)),
        "clip_score": pa.array(score),
    }
    manifest = common | {name: column.take(pa.array(mask)) for name, column in pool.items()}
    manifest |= {
        "key": pa.array([f"{stem(shard)}-{row // 999:05d}-{row % 999:03d}" for row in range(rows)]),
        "shard": pa.array(np.full(rows, shard, np.int32)),
        "image_sha256": pa.array([f"{number:064x}" for number in image.tolist()]),
        "tar_offset": pa.array(np.zeros(rows, np.int64)),
        "tar_length": pa.array(np.zeros(rows, np.int64)),
    }
    several = pa.array(np.repeat(np.arange(rows), _CANDIDATES))
    rank = np.tile(np.arange(_CANDIDATES, dtype=np.int32), rows)
    masks = pa.array((np.repeat(mask, _CANDIDATES) + rank * 7) % _POOL)
    candidates = {name: column.take(several) for name, column in common.items()} | {"rank": pa.array(rank)}
    candidates |= {name: column.take(masks) for name, column in pool.items()}
    storage.write_table(captions, layout.table("captions", shard))
    storage.write_table(pa.table(candidates), layout.table("candidates", shard))
    storage.write_table(schemas.REJECTS.empty_table(), layout.table("rejects", shard))
    counts = {"images": len(images), "images_with_pairs": len(images), "pairs": rows}
    metadata = {"files": json.dumps({}), "counts": json.dumps(counts)}
    storage.write_table(pa.table(manifest).replace_schema_metadata(metadata), layout.table("manifests", shard))
    return rows


def _hashed(values: np.ndarray, seed: int) -> np.ndarray:
    """Numbers that look random, int64, not negative (splitmix64)."""
    mixed = values.astype(np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--moved", type=float, default=0.3, help="share of the pairs that have another mask in B")
    parser.add_argument("--keep", help="a folder for the datasets, where they stay and are found again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.keep or temporary)
        a, b = folder / "a", folder / "b"
        if not b.exists():
            _make_both(a, b, options)
        command = [
            sys.executable,
            "-m",
            "jobs.inspect",
            "diff",
            str(a),
            str(b),
            "--output",
            str(folder / "differences"),
        ]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"differences: {seconds:.1f} s ({used.ru_utime + used.ru_stime:.1f} s of CPU), "
            f"peak {used.ru_maxrss * 1024 / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}"
        )


def _make_both(a: Path, b: Path, options: argparse.Namespace) -> None:
    pool = mask_pool(np.random.default_rng(0))
    per_image = _NOUNS_PER_IMAGE * (1 - _DROPPED)
    images = round(options.pairs / per_image / (1 - _DROPPED))
    kept = images - round(_DROPPED * images)
    pairs = make_dataset(a, pool, np.arange(kept), 256, (0.0, 0.0, 10))
    print(f"A: {pairs} pairs of {kept} images")
    pairs = make_dataset(b, pool, np.arange(images - kept, images)[::-1], 300, (options.moved, _SHIFTED, 20))
    print(f"B: {pairs} pairs of {kept} images, in the opposite order")


if __name__ == "__main__":
    main()
