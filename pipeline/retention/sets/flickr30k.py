"""Flickr30k, with any of the files of captions that go around.

- `dataset_flickr30k.json` of Karpathy's splits, whose 1,000 test images published figures are of;
- `flickr30k_test_karpathy.txt` of CLIP_benchmark: a heading, then lines `1007129816.jpg,The man …`;
- `results_20130124.token` of the data set's authors: lines `1000092795.jpg#0<tab>Two young guys …`, all 31,783 images.
"""

import json
from collections.abc import Iterator

from pipeline.captions.addresses import refusal
from pipeline.errors import UserError
from pipeline.retention.config import ImageSetConfig
from pipeline.retention.sets.captioned import captioned_images
from pipeline.retention.sets.distribution import Distribution
from pipeline.retention.sets.image_set import CaptionedImages

_SOURCE = (
    "flickr30k-images.tar.gz, given on request (https://shannon.cs.illinois.edu/DenotationGraph/), and "
    "caption_datasets.zip (https://cs.stanford.edu/people/karpathy/deepimagesent/)"
)
_FOLDERS = ("flickr30k-images", "flickr30k_images", "images")


def open_flickr30k(config: ImageSetConfig, key: str) -> CaptionedImages:
    """Images and captions below `root`.

    Raises:
        UserError: a part is missing, or a file of captions is not understood.
    """
    files = Distribution(config.root, _SOURCE, key)
    split = config.split or "test"
    folder = files.first(config.images) if config.images else _images_folder(files)
    path = files.first(
        *([config.annotations] if config.annotations else
          ["dataset_flickr30k.json", f"flickr30k_{split}_karpathy.txt", "results_20130124.token"])
    )  # fmt: skip
    if path.endswith(".json"):
        captions = _karpathy(files, path, split)
    elif path.endswith(".token"):
        split, captions = "all", _grouped(_token_lines(files, path))
    else:
        captions = _grouped(_comma_lines(files, path))
    if not captions:
        raise files.malformed(path, f"has no captions of the split {split}")
    root = files.uri(folder) if folder else files.root
    rows = [
        {
            "image_id": name,
            "image_uri": "" if (problem := refusal(name)) else f"{root.rstrip('/')}/{name}",
            "captions": texts,
            "problem": problem,
        }
        for name, texts in sorted(captions.items())
    ]
    return captioned_images(f"flickr30k/{split}", rows)


def _images_folder(files: Distribution) -> str:
    return next((folder for folder in _FOLDERS if files.exists(folder)), "")


def _karpathy(files: Distribution, path: str, split: str) -> dict[str, list[str]]:
    try:
        images = json.loads(files.text(path))["images"]
        splits = sorted({str(image["split"]) for image in images})
        found = {
            str(image["filename"]): [str(sentence["raw"]) for sentence in image["sentences"]]
            for image in images
            if image["split"] == split
        }
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise files.malformed(path, f"is not as Karpathy's splits are ({type(error).__name__}: {error})") from error
    if not found:
        raise UserError(f"{files.key}.split: {files.uri(path)} has {', '.join(splits) or 'no image'}, not {split}")
    return found


def _comma_lines(files: Distribution, path: str) -> Iterator[tuple[str, str]]:
    # The comma after the name: captions have commas, too.
    for number, line in enumerate(files.lines(path)[1:], start=2):
        name, separator, caption = line.partition(".jpg,")
        if not separator:
            raise files.malformed(path, f'has "{line[:80]}" in line {number}, where NAME.jpg,CAPTION is expected')
        yield f"{name}.jpg", caption


def _token_lines(files: Distribution, path: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(files.lines(path), start=1):
        name, separator, caption = line.partition("\t")
        image, hash_sign, _ = name.rpartition("#")
        if not separator or not hash_sign:
            raise files.malformed(path, f'has "{line[:80]}" in line {number}, where NAME.jpg#0 and a tab are expected')
        yield image, caption


def _grouped(lines: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    captions: dict[str, list[str]] = {}
    for name, caption in lines:
        captions.setdefault(name, []).append(caption)
    return captions
