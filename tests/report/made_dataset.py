"""A mined dataset that nobody mined: random regions and scores in the real files, made without Ray and models."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import yaml

import schemas
from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import Sample, ShardsConfig, commit_shard, image_key
from pipeline.masks import rle
from pipeline.mining.matching import match

HEIGHT, WIDTH, MASKS, EMBEDDING = 60, 80, 8, 8
STAGES = ("images", "proposals", "matching", "writing")


def make_dataset(
    folder: Path,
    nouns: Sequence[str],
    *,
    shards: int,
    images_per_shard: int,
    nouns_per_image: int = 4,
    rejects_per_shard: int = 1,
    not_found: Sequence[str] = (),
    options: Callable[[dict], dict] = lambda row: {},
) -> Layout:
    """Images of noise with rectangles as masks; the last images of every shard are rejected.

    Captions name the nouns in a row: "a dog, a cat". The id of an image holds its first noun.

    Args:
        not_found: nouns that an image of every shard was asked for in vain.
        options: columns that options of mining add to a pair, made of the others.
    """
    layout = Layout(str(folder))
    generator = np.random.default_rng(1)
    embeddings = _unit(generator.normal(size=(len(nouns), EMBEDDING)))
    for shard in range(shards):
        candidates: list[dict] = []
        samples = (
            sample
            for image in range(images_per_shard - rejects_per_shard)
            for sample in _image(shard, image, nouns, embeddings, nouns_per_image, generator, candidates, options)
        )
        storage.write_table(schemas.CAPTIONS.empty_table(), layout.table("captions", shard))
        rejects = [_reject(shard, image) for image in range(rejects_per_shard)]
        unanswered = {"caption_index": 0, "stage": "proposals", "reason": "not_found"}
        rejects += [_reject(shard, 0) | unanswered | {"noun": noun} for noun in not_found]
        # The samples fill the candidates while they are written.
        commit_shard(layout, shard, images_per_shard, samples, candidates, rejects, ShardsConfig())
        statistics = {"regions": MASKS * (images_per_shard - rejects_per_shard)}
        statistics["seconds"] = dict.fromkeys(STAGES, 1.5)
        _write(folder / "statistics" / f"{shard:06d}.json", json.dumps(statistics))
    _write(folder / "config.yaml", yaml.safe_dump(_description(shards, shards * images_per_shard)))
    _write(folder / "dataset.json", "{}")
    return layout


def _image(
    shard: int,
    image: int,
    nouns: Sequence[str],
    embeddings_ND: np.ndarray,
    nouns_per_image: int,
    generator: np.random.Generator,
    candidates: list[dict],
    options: Callable[[dict], dict],
) -> list[Sample]:
    named = generator.choice(len(nouns), nouns_per_image, replace=False)
    rectangles = generator.integers((0, 0, 5, 5), (HEIGHT // 2, WIDTH // 2, HEIGHT // 2, WIDTH // 2), (MASKS, 4))
    inside = np.zeros((MASKS, HEIGHT, WIDTH), bool)
    for mask, (y, x, height, width) in zip(inside, rectangles, strict=True):
        mask[y : y + height, x : x + width] = True
    # Captions are fitted well or badly as a whole, so that scores spread.
    features = _unit(generator.normal(size=(MASKS, EMBEDDING)) + 2 * embeddings_ND[named[0]])
    pixels = generator.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    caption = ", ".join(f"a {nouns[noun]}" for noun in named)
    rles, boxes, areas = rle.encode(inside), rle.boxes(rle.encode(inside), HEIGHT, WIDTH), inside.sum((1, 2))
    samples = []
    for pair, found in enumerate(match(features, embeddings_ND[named], 5)):
        noun = nouns[named[pair]]
        rows = [
            {
                "shard": shard,
                "image_id": f"{nouns[named[0]]} {shard}-{image}",
                "image_uri": f"images/{shard}-{image}.jpg",
                "image_width": WIDTH,
                "image_height": HEIGHT,
                "noun": noun,
                "rank": candidate.rank,
                **dict(zip(("box_x0", "box_y0", "box_x1", "box_y1"), boxes[candidate.region].tolist(), strict=True)),
                "mask_rle": rles[candidate.region].decode(),
                "mask_area": int(areas[candidate.region]),
                "proposal_index": candidate.region,
                "proposal_score": 1.0,
                "clip_score": candidate.score,
                "noun_margin": candidate.noun_margin,
            }
            for candidate in found
        ]
        candidates += rows
        start = len(", ".join(f"a {nouns[other]}" for other in named[: pair + 1])) - len(noun)
        row = {key: value for key, value in rows[0].items() if key != "rank"}
        row |= {"key": f"{image_key(shard, image)}-{pair:03d}", "surface": noun, "caption": caption}
        row |= {"caption_index": 0, "char_start": start, "char_end": start + len(noun)}
        row |= {"image_bytes": 0, "image_sha256": ""}
        row |= {"original_width": WIDTH, "original_height": HEIGHT, "mask_margin": found[0].mask_margin}
        samples.append(Sample(row | options(row), pixels, inside[found[0].region]))
    return samples


def _reject(shard: int, image: int) -> dict:
    row = {"shard": shard, "image_id": f"rejected {shard}-{image}", "image_uri": "", "caption_index": None}
    return row | {"stage": "images", "reason": "missing_file", "detail": ""}


def _description(shards: int, images: int) -> dict:
    return {
        "fingerprint": "0" * 64,
        "configuration": {
            "captions": {"format": "table", "path": "captions.parquet"},
            "captions_per_image": 1,
            "nouns": {"stop_list": []},
            "proposals": {"backend": "segments"},
            "regions": {"fill": "mean", "expand": 1.0},
            "clip": {"architecture": "ViT-B-16", "weights": "openai"},
            "matching": {"candidates": 5, "min_score": None},
        },
        "source": {"shards": shards, "images": images},
        "models": {"nouns": {"name": "made up"}, "proposals": {"name": "made up"}, "clip": {"sha256": "0" * 64}},
        "versions": {"numpy": np.__version__},
    }


def _unit(vectors_ND: np.ndarray) -> np.ndarray:
    return (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
