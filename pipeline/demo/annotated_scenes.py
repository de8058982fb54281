"""Scenes of a world with the truth about them, for measures that evaluations do not have."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.images import decode_jpeg
from pipeline.masks.masks import Masks
from pipeline.proposals.ground_truth import all_annotated


@dataclass(frozen=True)
class AnnotatedScene:
    """One scene and its S segments, things and grounds."""

    pixels: np.ndarray
    """uint8 [H,W,3]."""
    masks: Masks
    """S, in the order of the other lists."""
    names: list[str]
    """Categories of the segments."""
    looks: list[list[str] | None]
    """Colour and pattern of those segments that have such."""


def annotated_scenes(world: Path) -> Iterator[AnnotatedScene]:
    """The scenes in `world`, in the order of their annotations."""
    annotations = world / "panoptic.json"
    panoptic, truth = json.loads(annotations.read_text()), all_annotated(str(annotations))
    names = {category["id"]: category["name"] for category in panoptic["categories"]}
    for annotation in panoptic["annotations"]:
        pixels = decode_jpeg((world / "images" / annotation["file_name"]).with_suffix(".jpg").read_bytes())
        [objects] = truth.propose([pixels], [str(annotation["image_id"])])  # in the order of their annotation
        segments = annotation["segments_info"]
        yield AnnotatedScene(
            pixels,
            objects.masks,
            [names[segment["category_id"]] for segment in segments],
            [segment.get("attributes") for segment in segments],
        )
