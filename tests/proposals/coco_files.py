"""Annotations of a small picture, and what is proposed of them."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image as Picture

from pipeline.images import UprightJpeg
from pipeline.mining.steps.propose_masks import ProposeMasks
from pipeline.mining.work import Image, Shard
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.proposals.ground_truth import all_annotated

HEIGHT, WIDTH = 6, 8
BOX = [2, 1, 5, 1, 5, 4, 2, 4]
INSIDE = np.zeros((HEIGHT, WIDTH), bool)
INSIDE[1:4, 2:5] = True
ELSEWHERE = [[5, 4, 8, 4, 8, 6, 5, 6]]
IMAGE = {"id": 1, "file_name": "1.jpg", "height": HEIGHT, "width": WIDTH}
OTHER = IMAGE | {"id": 2, "file_name": "2.jpg"}
CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}]

Write = Callable[..., str]


def pixels(image: str, annotations: str, size: tuple[int, int] = (HEIGHT, WIDTH)) -> list:
    """The masks of an image, as lists."""
    [found] = all_annotated(annotations).propose([np.zeros((*size, 3), np.uint8)], [image])
    return found.masks.decode().astype(bool).tolist()


def mined(annotations: str, *image_ids: str, nouns: dict[str, list[dict]] | None = None, **options: Any) -> Shard:
    """What the step of mining makes of images of 8 × 6 pixels, with their nouns by image_id if they have some."""
    step = ProposeMasks(load_proposer(config(annotations, **options)))
    shard = Shard(0, [Image(place, {"image_id": name, "image_uri": name}) for place, name in enumerate(image_ids)])
    for image in shard.images:
        image.nouns = (nouns or {}).get(image.row["image_id"], [])
        image.jpeg = UprightJpeg(_jpeg(), WIDTH, HEIGHT, WIDTH, HEIGHT)
    return step(shard, lambda *_: None)


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    Picture.new("RGB", (WIDTH, HEIGHT)).save(buffer, "JPEG")
    return buffer.getvalue()


def config(annotations: str, min_area: float = 0.0, **options: Any) -> ProposalsConfig:
    return ProposalsConfig(
        backend="ground_truth",
        min_area=min_area,
        max_area=1.0,
        options={"annotations": annotations, **options},
    )
