"""What has to be known of all pairs before the first is written."""

import re
from dataclasses import dataclass

from pipeline.dataset.opening import MinedDataset
from pipeline.errors import UserError
from pipeline.storage.common_folder import Parts, common_folder, parts

IMAGE_COLUMNS = ["image_id", "image_uri", "image_width", "image_height", "original_width", "original_height"]

# COCO's ids are numbers. Longer ones would not fit into 64 bits; leading zeros would be lost.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class Outline:
    """All pairs, in few words."""

    images: int
    pairs: int
    scaled: int
    """Images that `images.max_side` scaled down for mining."""
    unnamed: int
    """Images that are no files with a name of their own, but members of archives and the like."""
    category: dict[str, int]
    """By noun its number among the sorted nouns, from 1."""
    folder: Parts
    """The folder that all images have in common."""
    own_ids: bool
    """Whether the ids of all images are numbers, as COCO's are."""


def outline_of(pairs: MinedDataset) -> Outline:
    """Read the manifests once.

    Raises:
        UserError: there is no pair, or a manifest is damaged.
        OSError: storage cannot be read.
    """
    images = count = scaled = unnamed = 0
    nouns: set[str] = set()
    folder: Parts | None = None
    own_ids = True
    for manifest in pairs.manifests(["key", *IMAGE_COLUMNS, "noun"]):  # keys: to have them checked
        count += len(manifest.table)
        nouns.update(manifest.table["noun"].unique().to_pylist())
        found = {row["image_id"]: row for row in manifest.table.select(IMAGE_COLUMNS).to_pylist()}
        images += len(found)
        scaled += sum(is_scaled(row) for row in found.values())
        unnamed += sum("::" in row["image_uri"] or not row["image_uri"] for row in found.values())
        own_ids = own_ids and all(_NUMBER.fullmatch(image_id) for image_id in found)
        folders = [parts(row["image_uri"])[:-1] for row in found.values() if row["image_uri"]]
        if folders:
            folder = common_folder(folders if folder is None else [folder, *folders])
    if not count:
        raise UserError(f"{pairs.layout.uri}: the dataset has no pair, so there is nothing to export")
    category = {noun: number for number, noun in enumerate(sorted(nouns), start=1)}
    return Outline(images, count, scaled, unnamed, category, folder or (), own_ids)


def is_scaled(row: dict) -> bool:
    """Whether the image of a pair was mined smaller than it is."""
    return (row["image_width"], row["image_height"]) != (row["original_width"], row["original_height"])
