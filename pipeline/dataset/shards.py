"""One shard of the dataset: tar, candidates, rejects and manifest, and the order in which they are written.

The manifest is written last, by one atomic put, and carries the checksums of the others, the proposals if they are kept
among them: its presence commits the shard. A tar without a manifest is not part of the dataset. Nothing in these files
depends on the time, the host or the number of workers, so writing a shard again makes the same bytes.
"""

import io
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
from PIL import Image
from webdataset import TarWriter

import schemas
from pipeline import storage
from pipeline.dataset.config import ShardsConfig
from pipeline.dataset.layout import Layout, stem
from pipeline.dataset.manifests import write_manifest
from pipeline.dataset.sample import checksum
from pipeline.masks.boxes import expand_box

BYTES_PER_PAIR = 25_000
"""Mean size of a sample in the tars mined from 85 COCO images with ground-truth masks and the default ShardsConfig."""

NO_RUNNER_UP = 2.0
"""A margin in `KEY.json` where there is nothing to compare with, null in the manifest: the most that two cosine
similarities can differ by. Such a pair passes every limit there, too (`pipeline.mining.matching.passes`)."""

_ABSENT: list[tuple[Callable[[pa.DataType], bool], Any]] = [
    (pa.types.is_floating, NO_RUNNER_UP), (pa.types.is_integer, -1), (pa.types.is_string, ""), (pa.types.is_list, []),
]  # fmt: skip
"""By type, what stands in `KEY.json` where the manifest has null."""
_OF_THE_TAR = ("tar_offset", "tar_length", "crc32")
"""Columns of the manifest that a sample cannot have, for they are about its bytes."""


class IncompleteShardError(Exception):
    """The images of a shard do not add up: some neither have pairs nor were rejected."""


@dataclass(frozen=True)
class Sample:
    """One region–noun pair as it goes into the tar."""

    row: dict
    """The row of the manifest, but for the sample's place in the tar."""
    image: np.ndarray
    """The whole upright image, uint8 [H,W,3]."""
    mask: np.ndarray
    """The mask in the image's frame, bool [H,W]."""


def sample_members(sample: Sample, config: ShardsConfig) -> dict:
    """The tar members of a sample: `jpg` (crop with its background), `mask.png` (1 bit), `txt`, `json`."""
    row = sample.row
    height, width = sample.mask.shape
    box = expand_box(
        tuple(row[f"box_{edge}"] for edge in ("x0", "y0", "x1", "y1")),
        config.context,
        width,
        height,
    )
    x0, y0, x1, y1 = box
    crop, mask = (
        Image.fromarray(sample.image[y0:y1, x0:x1]),
        Image.fromarray(sample.mask[y0:y1, x0:x1]),
    )
    longest = max(crop.size)
    if config.max_side and longest > config.max_side:
        width, height = (max(1, round(side * config.max_side / longest)) for side in crop.size)
        crop = crop.resize((width, height), Image.Resampling.LANCZOS)
        mask = _shrink_mask(mask, (width, height))
    jpg, png = io.BytesIO(), io.BytesIO()
    crop.save(jpg, "JPEG", quality=config.jpeg_quality, subsampling=0)
    mask.save(png, "PNG")
    details = {**_one_type_each(row), "crop_x0": x0, "crop_y0": y0, "crop_x1": x1, "crop_y1": y1}
    return {
        "__key__": row["key"],
        "jpg": jpg.getvalue(),
        "mask.png": png.getvalue(),
        "txt": row["noun"].encode(),
        "json": json.dumps(details, sort_keys=True, ensure_ascii=False).encode(),
    }


def _one_type_each(row: dict) -> dict:
    """A row with the same type in every field as in all other rows: Hugging Face `datasets` takes the types of a tar's
    fields from its first five samples, and cannot read a tar where null becomes a number or 1 becomes 1.5.
    """
    values = {field.name: None for field in schemas.MANIFEST if field.name not in _OF_THE_TAR} | row
    for field in schemas.MANIFEST:
        if field.name in values:
            value = values[field.name]
            if value is None:
                values[field.name] = next(absent for holds, absent in _ABSENT if holds(field.type))
            elif pa.types.is_floating(field.type):
                values[field.name] = float(value)
    return values


def _shrink_mask(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A pixel stays foreground if half of what it covers is; a mask too thin for that keeps every pixel it touches."""
    covered = np.asarray(mask.convert("L").resize(size, Image.Resampling.BOX))
    inside = covered >= 128
    return Image.fromarray(inside if inside.any() else covered > 0)


def write_tar(samples: Iterable[Sample], config: ShardsConfig, file: IO[bytes]) -> list[dict]:
    """Write samples in their order; member order, owner, mode and time are fixed.

    Returns:
        the rows of the manifest: those of the samples with `tar_offset` and `tar_length` (bytes), and `crc32`.
    """
    rows = []
    with TarWriter(file, encoder=False, mtime=0) as tar:
        for sample in samples:
            offset = tar.tarstream.offset  # not file.tell(): the tar is written through a buffer
            members = sample_members(sample, config)
            tar.write(members)
            place = {"tar_offset": offset, "tar_length": tar.tarstream.offset - offset}
            rows.append({**sample.row, **place, "crc32": checksum(members["jpg"], members["mask.png"], members["txt"])})
    return rows


def commit_shard(
    layout: Layout,
    shard: int,
    images: int,
    samples: Iterable[Sample],
    candidates: list[dict],
    rejects: list[dict],
    config: ShardsConfig,
    proposals: pa.Table | None = None,
) -> list[dict]:
    """Write all files of a shard, the manifest last. Returns the rows of the manifest.

    Args:
        images: number of images in the shard.
        samples: consumed once, in order; only their rows are kept.
        proposals: `schemas.PROPOSALS`, all masks of its images; None: they are not kept.

    Raises:
        IncompleteShardError: images with pairs and rejected images are not all images.
        OSError: storage failed; the shard is not committed.
    """
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        rows = write_tar(samples, config, file)
        file.flush()
        _check_accounting(shard, images, rows, rejects)
        storage.upload(file.name, layout.tar(shard))
        files = {layout.relative(layout.tar(shard)): file_checksum(file.name)}

    storage.write_table(pa.Table.from_pylist(candidates, schemas.CANDIDATES), layout.table("candidates", shard))
    storage.write_table(pa.Table.from_pylist(rejects, schemas.REJECTS), layout.table("rejects", shard))
    kinds = ["captions", "candidates", "rejects"]
    if proposals is not None:
        storage.write_table(proposals, layout.table("proposals", shard))
        kinds.append("proposals")
    for kind in kinds:
        uri = layout.table(kind, shard)
        files[layout.relative(uri)] = file_checksum(uri)

    counts = {
        "images": images,
        "images_with_pairs": _count_images_with_pairs(rows),
        "pairs": len(rows),
    }
    write_manifest(layout, shard, rows, files, counts)
    return rows


def image_key(shard: int, image: int) -> str:
    """`000012-00034`: what the keys of all samples of an image begin with. No dots: WebDataset ends a key there."""
    return f"{stem(shard)}-{image:05d}"


def _count_images_with_pairs(rows: list[dict]) -> int:
    return len({row["key"].rpartition("-")[0] for row in rows})


def _check_accounting(shard: int, images: int, rows: list[dict], rejects: list[dict]) -> None:
    with_pairs = _count_images_with_pairs(rows)
    rejected = sum(reject["caption_index"] is None for reject in rejects)
    if with_pairs + rejected != images:
        raise IncompleteShardError(
            f"shard {shard}: {images} images, but {with_pairs} with pairs and {rejected} rejected"
        )


def file_checksum(uri: str) -> dict:
    """`sha256` and `bytes` of a file, as manifests and `dataset.json` have them."""
    digest, size = storage.sha256(uri)
    return {"sha256": digest, "bytes": size}
