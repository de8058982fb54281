"""The page of images that were mined and are evaluated on: both pictures side by side."""

import io
from base64 import b64encode
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline import storage
from pipeline.dataset.layout import Layout, shard_of
from pipeline.duplicates.leakage import Leakage
from pipeline.duplicates.other_images import read_picture
from pipeline.images import ImageProblem, ImagesConfig, open_image, read_upright
from pipeline.mining.steps.read_images import read_again
from pipeline.report.page import page_uri, render, write_page
from pipeline.storage.in_threads import in_threads

SHOWN = 60
"""Copies shown, those with most pairs first."""
_SIDE = 240
_QUALITY = 72
_LIMITS = ImagesConfig(min_side=1)


@dataclass(frozen=True)
class Side:
    """One of two pictures."""

    name: str
    picture: str = ""
    """WebP in base64."""
    problem: str = ""
    """Why there is none."""


def write_leakage_report(found: Leakage, output: str, against: str, to: str, shown: int = SHOWN) -> str:
    """Write one HTML file; returns its URI.

    Args:
        output: the mined dataset.
        against: what it was compared with; pictures are shown of a folder alone.
        to: folder, or a name that ends in .html.
        shown: copies shown, at most.

    Raises:
        OSError: storage cannot be read or written.
    """
    rows = sorted(found.copies.to_pylist(), key=lambda row: (-row["pairs"], row["distance"], row["image"]))[:shown]
    of_folder = not storage.exists(storage.join(against, "config.yaml"))
    mined = _mined_pictures(Layout(output), [row["mined_key"] for row in rows])
    cards = [
        {
            **row,
            "mined": mined.get(row["mined_key"], Side(row["mined_image_id"], problem="no pairs were cut from it")),
            "other": other,
        }
        for row, other in zip(rows, in_threads(lambda row: _other(row, against, of_folder), rows), strict=True)
    ]
    html = render("leakage.html", found=found, cards=cards, problems=found.problems.most_common())
    uri = page_uri(to)
    write_page(html, uri)
    return uri


def _other(row: dict, against: str, of_folder: bool) -> Side:
    if not of_folder:
        return Side(row["image"], problem="an image of a mined dataset")
    try:
        return Side(
            row["image"], _thumbnail(read_upright(read_picture(storage.join(against, row["image"])), _LIMITS).data)
        )
    except ImageProblem as problem:
        return Side(row["image"], problem=str(problem))


def _mined_pictures(layout: Layout, keys: Sequence[str | None]) -> dict[str | None, Side]:
    """By what the keys of an image's pairs begin with; those without pairs are left out."""
    by_shard: dict[int, set[int]] = defaultdict(set)
    for key in keys:
        stem, _, index = (key or "").partition("-")
        if (shard := shard_of("shards", f"{stem}.tar")) is not None and index.isdecimal():
            by_shard[shard].add(int(index))
    found: dict[str | None, Side] = {}
    for number, wanted in by_shard.items():
        listed = storage.read_table(layout.table("captions", number))["image_id"].to_pylist()
        read = read_again(layout, number, {listed[index] for index in wanted if index < len(listed)}, _LIMITS)
        reasons = {reject["image_id"]: reject["reason"] for reject in read.rejects}
        for place in wanted:
            image = read.images[place]
            name = image.row["image_id"]
            picture = _thumbnail(image.jpeg.data) if image.jpeg else ""
            found[f"{number:06d}-{place:05d}"] = Side(name, picture, reasons.get(name, ""))
    return found


def _thumbnail(jpeg: bytes | memoryview) -> str:
    image = open_image(bytes(jpeg), ("JPEG",), draft=(_SIDE, _SIDE)).convert("RGB")
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY)
    return b64encode(buffer.getvalue()).decode()
