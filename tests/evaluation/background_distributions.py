"""Miniatures of the data sets whose background is a class; see `distributions`."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.evaluation.datasets import DatasetConfig
from pipeline.evaluation.datasets.background import BEHIND_OBJECTS
from tests.evaluation.distributions import (
    SIZE,
    Miniature,
    coco_stuff_171,
    pascal_context_59,
    voc_20,
    write_image,
    write_png,
)


def _changed(
    miniature: Miniature, kind: str, labels: dict[str, np.ndarray], classes: int, background: tuple
) -> Miniature:
    name = miniature.name.replace(miniature.config.kind, kind)
    first = [background, *miniature.first_classes]
    config = DatasetConfig(kind, miniature.config.root)
    return replace(miniature, config=config, name=name, labels=labels, classes=classes, first_classes=first)


def voc_21(root: Path) -> Miniature:
    """The files of `voc_20`: 0 is background, 255 in the second row stays out."""
    miniature = voc_20(root)
    labels = {image_id: found + 1 for image_id, found in miniature.labels.items()}
    for found in labels.values():
        found[1] = -1
    return _changed(miniature, "voc_21", labels, 21, BEHIND_OBJECTS)


def pascal_context_60(root: Path) -> Miniature:
    """The files of `pascal_context_59`: an accordion is background."""
    miniature = pascal_context_59(root)
    labels = {image_id: found + 1 for image_id, found in miniature.labels.items()}
    return _changed(miniature, "pascal_context_60", labels, 60, ("background",))


def coco_object(root: Path) -> Miniature:
    """The files of `coco_stuff_171`: stuff, which is class 80 and after, and what is not labelled are background."""
    miniature = coco_stuff_171(root)
    labels = {image_id: np.where(found < 80, found + 1, 0) for image_id, found in miniature.labels.items()}
    return _changed(miniature, "coco_object", labels, 81, BEHIND_OBJECTS)


def imagenet_s_919(root: Path) -> Miniature:
    """A tench, and a scene of everything; 1000 does not count."""
    labels, images = {}, {}
    for index, image_id in enumerate(
        ("n01440764/ILSVRC2012_val_00000293", "n15075141/ILSVRC2012_val_00000400"), start=1
    ):
        found = np.random.default_rng(index).integers(-1, 920, SIZE)
        found[0, :4] = 0, 1, 919, -1
        numbers = np.where(found < 0, 1000, found)
        channels = np.stack([numbers % 256, numbers // 256, np.zeros(SIZE, int)], -1)
        write_png(root / f"validation-segmentation/{image_id}.png", channels.astype(np.uint8))
        labels[image_id], images[image_id] = found, write_image(root / f"validation/{image_id}.JPEG", index)
    background = tuple(name for name in BEHIND_OBJECTS if name not in ("desk", "wardrobe"))  # which are classes
    first = [background, ("tench",), ("goldfish",)]
    return Miniature(
        DatasetConfig("imagenet_s_919", str(root)), "imagenet_s_919/validation", labels, images, 920, first
    )


def mess_cwfid(root: Path) -> Miniature:
    """21 of the 60 images have labels."""
    labels, images = {}, {}
    for number in range(1, 61):
        image_id = f"{number:03d}"
        pixels = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8)
        path = root / f"cwfid/images/{image_id}_image.png"
        write_png(path, pixels)
        if number <= 21:
            found = np.random.default_rng(number).integers(-1, 3, SIZE)
            write_png(
                root / f"cwfid/annotations_detectron2/test/{image_id}_annotation.png",
                np.where(found < 0, 255, found).astype(np.uint8),
            )
            labels[image_id], images[image_id] = found, path
    first = [("ground",), ("crop seedling",), ("weed",)]
    return Miniature(DatasetConfig("mess_cwfid", str(root)), "mess_cwfid/test", labels, images, 3, first)


WITH_BACKGROUND = [voc_21, pascal_context_60, coco_object, imagenet_s_919, mess_cwfid]
