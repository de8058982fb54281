"""COCO instances JSON: nouns as categories, one annotation a pair.

The format: https://cocodataset.org/#format-data
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline import storage
from pipeline.dataset.opening import MinedDataset
from pipeline.export.image_files import image_file, write_images
from pipeline.export.opening import open_pairs
from pipeline.export.outline import IMAGE_COLUMNS, Outline, is_scaled, outline_of
from pipeline.storage.common_folder import address, parts, relative
from pipeline.storage.json_lists import write_json_lists

_BOX = ["box_x0", "box_y0", "box_x1", "box_y1"]
_PAIR = ["key", "image_id", "image_width", "image_height", "noun", "caption", *_BOX, "mask_rle", "mask_area"]
_SCORES = ["clip_score", "noun_margin", "mask_margin", "proposal_score"]


@dataclass(frozen=True)
class CocoExport:
    """What was written."""

    images: int
    pairs: int
    nouns: int
    scaled: int
    """Images that `images.max_side` scaled down for mining. Their masks and boxes are those of the scaled image."""
    unnamed: int
    """Images that `file_name` leads to no file of, since they are in archives; 0 if they were written."""
    complete: bool
    """False while the dataset is still being mined: what is committed was exported."""


def export_coco(output: str, to: str, images: str | None = None) -> CocoExport:
    """Write the pairs of a mined dataset as one JSON file of COCO's instances format.

    An image has the id that its source gives it, if all of these are numbers, else its number in the export;
    `source_id` and `uri` say which it is, `file_name` is relative to `info.images`. Its size is that of the upright
    image that masks and boxes refer to. An annotation's `score` is `clip_score`; it has the caption, the phrase where
    there is one, and the sample's `key`, too. Any number of pairs takes the memory of a few shards and a file on the
    local disk, and the JSON appears whole.

    Args:
        output: the dataset, any fsspec URI.
        to: the file to write, any fsspec URI.
        images: a folder to write the images into, any fsspec URI, for sources whose images are no files: upright, of
            the size that masks refer to, and called `000012-00034.jpg`, which is then their `file_name`.

    Raises:
        UserError: there is no dataset, it is damaged or has no pair, or `to` cannot be written; an image that should be
            written cannot be read.
        OSError: storage cannot be read or written.
    """
    pairs = open_pairs(output)
    storage.check_writable(to.rpartition("/")[0] or ".", "--to")
    outline = outline_of(pairs)
    if images:
        storage.check_writable(images, "--images")
        write_images(pairs, images)
    write_json_lists(
        to,
        {
            "info": {
                "description": "Region-noun pairs mined from image captions",
                "dataset": storage.absolute(output),
                "fingerprint": pairs.description["fingerprint"],
                "images": storage.absolute(images) if images else address(outline.folder),
            },
            "licenses": [],
            "categories": [{"id": number, "name": noun} for noun, number in outline.category.items()],
        },
        {"images": _images(pairs, outline, written=bool(images)), "annotations": _annotations(pairs, outline)},
    )
    unnamed = 0 if images else outline.unnamed
    return CocoExport(outline.images, outline.pairs, len(outline.category), outline.scaled, unnamed, pairs.complete)


def _numbered(pairs: MinedDataset, columns: list[str], outline: Outline) -> Iterator[tuple[int, bool, dict]]:
    """Every row with the id of its image, and whether it is the first of its image."""
    number = 0
    for manifest in pairs.manifests(columns, ["phrase"]):
        image = None
        for row in manifest.table.to_pylist():
            first = row["image_id"] != image
            image = row["image_id"]
            number += first
            yield int(image) if outline.own_ids else number, first, row


def _images(pairs: MinedDataset, outline: Outline, written: bool) -> Iterator[dict]:
    for number, first, row in _numbered(pairs, ["key", *IMAGE_COLUMNS], outline):
        if first:
            uri = row["image_uri"]
            name = relative(uri, outline.folder) if uri else "/".join(parts(row["image_id"])[1:])
            image = {
                "id": number,
                "file_name": image_file(row["key"]) if written else name,
                "width": row["image_width"],
                "height": row["image_height"],
                "source_id": row["image_id"],
                "uri": uri,
            }
            if is_scaled(row):
                image |= {key: row[key] for key in ("original_width", "original_height")}
            yield image


def _annotations(pairs: MinedDataset, outline: Outline) -> Iterator[dict]:
    for annotation, (number, _, row) in enumerate(_numbered(pairs, _PAIR + _SCORES, outline), start=1):
        x0, y0, x1, y1 = (row[edge] for edge in _BOX)
        yield {
            "id": annotation,
            "image_id": number,
            "category_id": outline.category[row["noun"]],
            "segmentation": {"size": [row["image_height"], row["image_width"]], "counts": row["mask_rle"]},
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": row["mask_area"],
            "iscrowd": 0,
            "score": row["clip_score"],
            "caption": row["caption"],
            "key": row["key"],
            **{name: row[name] for name in _SCORES if name != "clip_score"},
            **({"phrase": row["phrase"]} if row["phrase"] else {}),
        }
