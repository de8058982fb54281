"""What is written when all shards are committed: `dataset.json` and the dataset card."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline import storage
from pipeline.captions import Listing
from pipeline.layout import Layout


def summarize(layout: Layout, listing: Listing) -> dict:
    """The content of `dataset.json`: totals of all shards and the checksums of all files.

    Raises:
        RuntimeError: a shard is missing, or the images of all shards are not those of the listing.
    """
    missing = sorted(set(range(listing.shards)) - layout.committed())
    if missing:
        raise RuntimeError(f"{len(missing)} shards are not committed, among them {missing[:5]}")
    with ThreadPoolExecutor(16) as pool:
        shards = list(pool.map(lambda shard: _read_shard(layout, shard), range(listing.shards)))
    totals, rejected, files = Counter(), Counter(), {}
    for counts, reasons, shard_files in shards:
        totals.update(counts)
        rejected.update(reasons)
        files.update(shard_files)
    if totals["images"] != listing.images or totals["images_with_pairs"] + rejected.total() != listing.images:
        raise RuntimeError(
            f"{listing.images} images were listed, the shards hold {totals['images']}: "
            f"{totals['images_with_pairs']} with pairs, {rejected.total()} rejected"
        )
    for uri in (layout.config, layout.vocabulary):
        digest, size = storage.sha256(uri)
        files[uri.rpartition("/")[2]] = {"sha256": digest, "bytes": size}
    vocabulary = storage.read_table(layout.vocabulary)
    description = yaml.safe_load(storage.read_bytes(layout.config))
    return {
        "fingerprint": description["fingerprint"],
        "shards": listing.shards,
        "images": listing.images,
        "images_with_pairs": totals["images_with_pairs"],
        "pairs": totals["pairs"],
        "nouns": sum(vocabulary["kept"].to_pylist()),
        "rejected": dict(sorted(rejected.items())),
        "bytes": sum(file["bytes"] for file in files.values()),
        "files": dict(sorted(files.items())),
    }


def write_dataset(layout: Layout, dataset: dict) -> None:
    """Write `README.md` and, last, `dataset.json`, which says that the dataset is complete."""
    vocabulary = storage.read_table(layout.vocabulary)
    description = yaml.safe_load(storage.read_bytes(layout.config))
    storage.write_bytes(layout.card, _card(dataset, description, vocabulary).encode())
    storage.write_bytes(layout.dataset, json.dumps(dataset, indent=1, ensure_ascii=False).encode())


def _read_shard(layout: Layout, shard: int) -> tuple[dict, Counter, dict]:
    """Counts, reasons of rejected images, and checksums of all files of a committed shard."""
    uri = layout.table("manifests", shard)
    data = storage.read_bytes(uri)
    metadata = pq.read_schema(pa.BufferReader(data)).metadata
    files = json.loads(metadata[b"files"])
    digest, size = storage.sha256(uri)
    files[f"manifests/{uri.rpartition('/')[2]}"] = {"sha256": digest, "bytes": size}
    rejects = storage.read_table(layout.table("rejects", shard)).to_pylist()
    reasons = Counter(f"{row['stage']}: {row['reason']}" for row in rejects if row["caption_index"] is None)
    return json.loads(metadata[b"counts"]), reasons, files


def _card(dataset: dict, description: dict, vocabulary: pa.Table) -> str:
    configuration, models = description["configuration"], description["models"]
    clip = configuration["clip"]
    top = ", ".join(
        f"{row['noun']} ({row['images']})" for row in vocabulary.slice(0, 20).select(["noun", "images"]).to_pylist()
    )
    rejected = "\n".join(f"| {reason} | {count} |" for reason, count in dataset["rejected"].items()) or "| none | 0 |"
    return f"""---
tags: [mask-adapted-clip, region-text, webdataset]
---
# Region–noun pairs mined from image captions

Every sample is a region of an image and a noun of its caption that CLIP found to fit the region best
(Liang et al., Open-Vocabulary Semantic Segmentation with Mask-adapted CLIP, arXiv 2210.04150, Sec. 3.2).

| | |
|---|---|
| pairs | {dataset["pairs"]} |
| nouns | {dataset["nouns"]} |
| images | {dataset["images"]}, of which {dataset["images_with_pairs"]} gave pairs |
| shards | {dataset["shards"]} |

Most frequent nouns: {top}

## Source and licence
{configuration["captions"]["format"]}: `{configuration["captions"]["path"]}`. The images and captions keep the
licences of their source; the crops in the shards are copies of parts of the images. The name of each image is in
the manifests (`image_uri`).

## Recipe
| | |
|---|---|
| captions per image | {configuration["captions_per_image"]} |
| nouns | {models["nouns"]["name"]} {models["nouns"].get("version", "")} |
| proposals | {models["proposals"].get("name", configuration["proposals"]["backend"])} |
| CLIP | {clip["architecture"]}, {clip["weights"]}, sha256 {models["clip"]["sha256"][:16]}… |
| templates | {clip["templates"]} |

All settings, versions and hashes are in `config.yaml`; checksums of all files in `dataset.json`.

## Rejected images
| stage and reason | images |
|---|---|
{rejected}

## Reading it
`shards/*.tar` are WebDataset shards: `KEY.jpg` (crop with its background), `KEY.mask.png` (1-bit mask), `KEY.txt`
(the noun), `KEY.json` (the manifest's row). Only shards with a file in `manifests/` belong to the dataset.

    SELECT noun, count(*), avg(clip_score) FROM 'manifests/*.parquet' GROUP BY noun ORDER BY 2 DESC
"""
