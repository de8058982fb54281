"""FiftyOne: a sample an image, its pairs as detections with their masks in files of their own.

`fiftyone.Dataset.from_dir(dataset_dir=FOLDER, dataset_type=fiftyone.types.FiftyOneDataset)` reads it. FiftyOne need not
be installed here: a `samples.json` without the version of a database is what its oldest importer takes, which all
versions have kept.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline import storage
from pipeline.dataset.layout import stem
from pipeline.dataset.opening import MinedDataset
from pipeline.errors import UserError
from pipeline.export.opening import open_pairs
from pipeline.export.outline import outline_of
from pipeline.masks.masks import Masks
from pipeline.storage.common_folder import Parts, relative
from pipeline.storage.json_lists import write_json_lists

_EDGES = ["box_x0", "box_y0", "box_x1", "box_y1"]
_DETAILS = ["key", "caption", "surface", "noun_margin", "mask_margin", "proposal_score"]
_COLUMNS = [
    "image_id",
    "image_uri",
    "image_width",
    "image_height",
    *_EDGES,
    "mask_rle",
    "noun",
    "clip_score",
    *_DETAILS,
]


@dataclass(frozen=True)
class FiftyOneExport:
    """What was written."""

    images: int
    pairs: int
    complete: bool
    """False while the dataset is still being mined: what is committed was exported."""


def export_fiftyone(output: str, to: str, images: str | None = None) -> FiftyOneExport:
    """Write `samples.json`, which names the images where they are, and `masks/` into a folder on this machine.

    The detections are in the field `pairs`: `label` is the noun, `confidence` is `clip_score`; caption, phrase, margins
    and the sample's `key` are attributes. `samples.json` is written last and appears whole. Any number of pairs takes
    the memory of a few shards.

    Args:
        output: the dataset, any fsspec URI.
        to: the folder to write, a local path.
        images: the local folder that stands for the one that all images of the dataset have in common; None: the
            images are where they were when they were mined.

    Raises:
        UserError: there is no dataset, it is damaged or has no pair; `to` is not on this machine or cannot be written;
            an image is not a local file.
        OSError: storage cannot be read or written.
    """
    if not storage.is_local(to):
        raise UserError(f"--to: {to} is not a local folder; FiftyOne reads local files only")
    pairs = open_pairs(output)
    storage.check_writable(to, "--to")
    outline = outline_of(pairs)
    folder = Path(storage.absolute(to))
    samples = _samples(pairs, folder / "masks", outline.folder, images)
    write_json_lists(str(folder / "samples.json"), {}, {"samples": samples})
    return FiftyOneExport(outline.images, outline.pairs, pairs.complete)


def _samples(pairs: MinedDataset, folder: Path, shared: Parts, images: str | None) -> Iterator[dict]:
    for manifest in pairs.manifests(_COLUMNS, ["phrase"]):
        (folder / stem(manifest.shard)).mkdir(parents=True, exist_ok=True)
        for image_id, group in groupby(manifest.table.to_pylist(), key=lambda row: row["image_id"]):
            rows = list(group)
            yield {
                "filepath": _local_path(rows[0]["image_uri"], shared, images),
                "tags": [],
                "image_id": image_id,
                "pairs": {
                    "_cls": "Detections",
                    "detections": [_detection(row, folder / stem(manifest.shard)) for row in rows],
                },
            }


def _local_path(uri: str, shared: Parts, images: str | None) -> str:
    path = os.path.join(storage.absolute(images), relative(uri, shared)) if images else uri
    if "://" in path or not os.path.isfile(path):
        raise UserError(
            f"--images: FiftyOne reads local files, and {path or 'an image without a name'} is none; have the images "
            "in a folder, and name it with --images"
        )
    return path


def _detection(row: dict, folder: Path) -> dict:
    """A pair, whose mask is written as the PNG of its box, 0 and 255."""
    width, height = row["image_width"], row["image_height"]
    x0, y0, x1, y1 = (row[edge] for edge in _EDGES)
    [mask] = Masks([row["mask_rle"].encode()], height, width).decode()
    buffer = io.BytesIO()
    Image.fromarray(mask[y0:y1, x0:x1] * np.uint8(255)).save(buffer, "PNG")
    path = folder / f"{row['key']}.png"
    path.write_bytes(buffer.getvalue())
    return {
        "_cls": "Detection",
        "tags": [],
        "label": row["noun"],
        "bounding_box": [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
        "mask_path": str(path),
        "confidence": row["clip_score"],
        **{name: row[name] for name in _DETAILS},
        **({"phrase": row["phrase"]} if row["phrase"] else {}),
    }
