"""Small pictures of the pairs of two datasets, by their keys."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2

from pipeline.dataset.layout import shard_of
from pipeline.dataset.manifests import read_manifest
from pipeline.dataset.opening import MinedDataset
from pipeline.images import ImageProblem
from pipeline.report.dataset.thumbnails import SIDES, Region, draw_outlined, read_region
from pipeline.report.named_text import marked_caption
from pipeline.storage.documents import DamagedFileError
from pipeline.storage.in_threads import in_threads

_READERS = 8
_TRIED = 16


@dataclass(frozen=True)
class ShownRegion:
    """One pair of one dataset."""

    outlined: str
    """WebP in base64: the stored window with the outline of the mask."""
    caption: tuple[str, str, str]
    """Before the noun or phrase, the text as it stands there, and after it."""
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 of the mask, as shares of the image's width and height."""
    proportion: float
    """Width of the image by its height."""


@dataclass(frozen=True)
class Unread:
    """Why pairs have no picture."""

    count: int
    first: str


def read_regions(dataset: MinedDataset, keys: Iterable[str]) -> tuple[dict[str, Region], Unread | None]:
    """The samples of a dataset by their keys; those that cannot be read are left out, and told.

    Raises:
        UserError: a manifest is damaged.
        OSError: storage cannot be read.
    """
    by_shard: dict[int, set[str]] = defaultdict(set)
    for key in keys:
        shard = shard_of("shards", f"{key.partition('-')[0]}.tar")
        if shard is not None:
            by_shard[shard].add(key)
    places = []
    for shard, wanted in sorted(by_shard.items()):
        table = read_manifest(dataset.layout, shard, ["key", "tar_offset", "tar_length"]).table
        places += [(shard, row) for row in table.to_pylist() if row["key"] in wanted]

    def read(place: tuple[int, dict]) -> Region | DamagedFileError:
        shard, row = place
        try:
            return read_region(dataset.layout, shard, row["tar_offset"], row["tar_length"])
        except DamagedFileError as error:
            return error

    found: dict[str, Region] = {}
    errors = []
    for (_, row), region in zip(places, in_threads(read, places, _READERS), strict=True):
        if isinstance(region, Region):
            found[row["key"]] = region
        else:
            errors.append(str(region))
    return found, Unread(len(errors), errors[0]) if errors else None


def draw_regions(regions: Mapping[str, Region], side: int) -> dict[str, ShownRegion]:
    """Draw regions, by key, at most `side` pixels wide and high; those that cannot be drawn are left out."""

    def one(region: Region) -> ShownRegion | None:
        details = region.details
        try:
            width, height = details["image_width"], details["image_height"]
            x0, y0, x1, y1 = (float(details[f"box_{edge}"]) for edge in ("x0", "y0", "x1", "y1"))
            if not all(map(math.isfinite, (x0 / width, y0 / height, x1 / width, y1 / height, width / height))):
                return None
            return ShownRegion(
                draw_outlined(region, side),
                marked_caption(details),
                (x0 / width, y0 / height, x1 / width, y1 / height),
                width / height,
            )
        # The dataset may be another's, and so may what it says of the crop.
        except (ImageProblem, LookupError, TypeError, ValueError, ArithmeticError, cv2.error):
            return None

    drawn = zip(regions, in_threads(one, regions.values(), _READERS), strict=True)
    return {key: region for key, region in drawn if region is not None}


def fitting_side(regions: Sequence[Region], room: int) -> int:
    """The largest of `SIDES` at which regions take about `room` bytes of a page, going by the first ones."""
    tried = dict(enumerate(regions[:_TRIED]))
    for side in SIDES[:-1]:
        drawn = draw_regions({str(key): region for key, region in tried.items()}, side)
        if sum(len(region.outlined) for region in drawn.values()) * len(regions) <= room * len(tried):
            return side
    return SIDES[-1]
