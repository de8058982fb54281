"""What is written when all shards are committed: `dataset.json` and the dataset card."""

import json
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.captions import Listing
from pipeline.clip.template_choice import described_templates
from pipeline.dataset.checked_tables import read_checked_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_whole_manifest
from pipeline.dataset.opening import read_dataset_description
from pipeline.dataset.shards import file_checksum
from pipeline.escaping.markdown import code, escaped
from pipeline.nouns import select_vocabulary
from pipeline.storage.in_threads import in_threads

_TOP_NOUNS = 20


def summarize(layout: Layout, listing: Listing) -> dict:
    """The content of `dataset.json`: totals of all shards and the checksums of all files.

    Raises:
        RuntimeError: a shard is missing, or the images of all shards are not those of the listing.
    """
    missing = sorted(set(range(listing.shards)) - layout.committed())
    if missing:
        raise RuntimeError(f"{len(missing)} shards are not committed, among them {missing[:5]}")
    totals: Counter[str] = Counter()
    nouns: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    rejected_nouns: Counter[str] = Counter()
    files: dict[str, dict] = {}
    shards = in_threads(lambda shard: _read_shard(layout, shard), range(listing.shards))
    for counts, shard_nouns, (reasons, noun_reasons), shard_files in shards:
        totals.update(counts)
        nouns.update(shard_nouns)
        rejected.update(reasons)
        rejected_nouns.update(noun_reasons)
        files.update(shard_files)
    if totals["images"] != listing.images or totals["images_with_pairs"] + rejected.total() != listing.images:
        raise RuntimeError(
            f"{listing.images} images were listed, the shards hold {totals['images']}: "
            f"{totals['images_with_pairs']} with pairs, {rejected.total()} rejected"
        )
    for uri in (layout.config, layout.vocabulary):
        files[uri.rpartition("/")[2]] = file_checksum(uri)
    description = read_dataset_description(layout)
    return {
        "fingerprint": description["fingerprint"],
        "shards": listing.shards,
        "images": listing.images,
        **({"rows_dropped": listing.dropped} if listing.dropped is not None else {}),
        "images_with_pairs": totals["images_with_pairs"],
        "pairs": totals["pairs"],
        **({"without_negatives": totals["without_negatives"]} if _asks_for_negatives(description) else {}),
        "nouns": len(nouns),
        "top_nouns": {noun: nouns[noun] for noun in select_vocabulary(nouns)[:_TOP_NOUNS]},
        "rejected": dict(sorted(rejected.items())),
        # Nouns of images, also of those that have pairs by other nouns.
        **({"rejected_nouns": dict(sorted(rejected_nouns.items()))} if rejected_nouns else {}),
        "bytes": sum(file["bytes"] for file in files.values()),
        "files": dict(sorted(files.items())),
    }


def write_dataset(layout: Layout, dataset: dict) -> None:
    """Write `README.md` and, last, `dataset.json`, which says that the dataset is complete."""
    storage.write_bytes(layout.card, dataset_card(dataset, read_dataset_description(layout)).encode())
    storage.write_bytes(layout.dataset, json.dumps(dataset, indent=1, ensure_ascii=False).encode())


def _read_shard(layout: Layout, shard: int) -> tuple[dict, Counter, tuple[Counter, Counter], dict]:
    """Counts, pairs by noun, reasons of rejected images and nouns, and checksums of all files of a committed shard."""
    manifest = read_whole_manifest(layout, shard, ["noun", "negatives"])
    own = {"sha256": manifest.sha256, "bytes": manifest.bytes}
    files = manifest.files | {layout.relative(manifest.uri): own}
    rejects = read_checked_table(layout.table("rejects", shard), ["caption_index", "stage", "reason"]).to_pylist()
    reasons = Counter(f"{row['stage']}: {row['reason']}" for row in rejects if row["caption_index"] is None)
    # Of older versions, no column says it, and no row is about a noun.
    nouns = Counter(f"{row['stage']}: {row['reason']}" for row in rejects if row.get("noun") is not None)
    counts = {**manifest.counts, "without_negatives": _count_without(manifest.table["negatives"])}
    return counts, Counter(manifest.table["noun"].to_pylist()), (reasons, nouns), files


def _count_without(negatives: pa.ChunkedArray) -> int:
    """Pairs for which negatives were looked for and none were found."""
    return pc.sum(pc.equal(pc.list_value_length(negatives), 0)).as_py() or 0


def _asks_for_negatives(description: dict) -> bool:
    return description["configuration"].get("negatives", {}).get("count", 0) > 0


def _folds(models: dict) -> str:
    return "".join(
        f"\n| CLIP of fold {fold} | {code(clip['architecture'], in_table=True)}, "
        f"sha256 {escaped(clip['sha256'][:16])}… |"
        for fold, clip in enumerate(models.get("cross_fit", []))
    )


def _rejected_nouns(dataset: dict) -> str:
    found = dataset.get("rejected_nouns", {})
    lines = "".join(f"| {escaped(reason)} | {count} |\n" for reason, count in found.items())
    return f"\n## Nouns that nothing answers to\n| stage and reason | nouns |\n|---|---|\n{lines}" if lines else ""


def _without_negatives(dataset: dict) -> str:
    count = dataset.get("without_negatives")
    return "" if count is None else f"\n| pairs without hard negatives | {count} |"


def _dropped(dataset: dict, configuration: dict) -> str:
    count, where = dataset.get("rows_dropped"), configuration["captions"].get("where")
    return "" if count is None else f"\n| rows of the source left out by {code(where, in_table=True)} | {count} |"


def dataset_card(dataset: dict, description: dict) -> str:
    """The card of a dataset, Markdown.

    Args:
        dataset: the content of `dataset.json`.
        description: the content of `config.yaml`.
    """
    configuration, models = description["configuration"], description["models"]
    clip = configuration["clip"]
    model = ", ".join(code(part, in_table=True) for part in (clip["architecture"], clip["weights"]) if part)
    top = ", ".join(f"{escaped(noun)} ({count})" for noun, count in dataset["top_nouns"].items()) or "none"
    rejected = (
        "\n".join(f"| {escaped(reason)} | {count} |" for reason, count in dataset["rejected"].items()) or "| none | 0 |"
    )
    return f"""---
tags: [mask-adapted-clip, region-text, webdataset]
---
# Region–noun pairs mined from image captions

Every sample is a region of an image and a noun of its caption that CLIP found to fit the region best
(Liang et al., Open-Vocabulary Semantic Segmentation with Mask-adapted CLIP, arXiv 2210.04150, Sec. 3.2).

| | |
|---|---|
| pairs | {dataset["pairs"]} |
| different nouns | {dataset["nouns"]} |
| images | {dataset["images"]}, of which {dataset["images_with_pairs"]} gave pairs |{_dropped(dataset, configuration)}
| shards | {dataset["shards"]} |{_without_negatives(dataset)}

Nouns with the most pairs: {top}

## Source and licence
{escaped(configuration["captions"]["format"])}: {code(configuration["captions"]["path"])}. The images and captions keep
the licences of their source; the crops in the shards are copies of parts of the images. The name of each image is in
the manifests (`image_uri`).

## Recipe
| | |
|---|---|
| captions per image | {escaped(configuration["captions_per_image"])} |
| nouns | {escaped(models["nouns"]["name"])} {escaped(models["nouns"].get("version", ""))} |
| proposals | {escaped(models["proposals"].get("name", configuration["proposals"]["backend"]))} |
| CLIP | {model}, sha256 {escaped(models["clip"]["sha256"][:16])}… |
| templates | {escaped(described_templates(clip["templates"]))} |{_folds(models)}

All settings, versions and hashes are in `config.yaml`; checksums of all files in `dataset.json`.

## Rejected images
| stage and reason | images |
|---|---|
{rejected}
{_rejected_nouns(dataset)}
## Reading it
`shards/*.tar` are WebDataset shards: `KEY.jpg` (crop with its background), `KEY.mask.png` (1-bit mask), `KEY.txt`
(the noun), `KEY.json` (the manifest's row). Only shards with a file in `manifests/` belong to the dataset.

    SELECT noun, count(*), avg(clip_score) FROM 'manifests/*.parquet' GROUP BY noun ORDER BY 2 DESC
"""
