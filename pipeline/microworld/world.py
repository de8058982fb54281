"""The micro world as a dataset on disk, in COCO's formats: what jobs.mine and jobs.evaluate read."""

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.masks import rle
from pipeline.masks.masks import Masks
from pipeline.microworld.captions import write_caption
from pipeline.microworld.categories import NAMES, THINGS
from pipeline.microworld.scenes import Scene, draw_scene
from pipeline.microworld.textures import SIDE

_CAPTIONS_PER_IMAGE = 2


def write_world(
    folder: Path, images: int, seed: int = 0, unnamed: Collection[str] = (), *, attributes: bool = False
) -> None:
    """Write scenes and their annotations below `folder`; the same arguments make the same files.

    `images/` (JPEG), `captions.json`, `instances.json` (all things), `panoptic.json` and `panoptic/` (everything).

    Args:
        seed: another seed makes other scenes; fewer images are the first of more.
        unnamed: categories that captions never mention.
        attributes: things have a colour and a pattern, which captions name and `segments_info` lists (`attributes`).
    """
    for name in ("images", "panoptic"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    listed: list[dict] = []
    captions: list[dict] = []
    instances: list[dict] = []
    panoptic: list[dict] = []
    for image_id in range(1, images + 1):
        rng = np.random.default_rng((seed, image_id))
        scene = draw_scene(rng, attributes=attributes)
        stem = f"{image_id:012d}"
        Image.fromarray(scene.pixels).save(folder / "images" / f"{stem}.jpg", quality=95, subsampling=0)
        listed.append({"id": image_id, "file_name": f"{stem}.jpg", "width": SIDE, "height": SIDE})
        for _ in range(_CAPTIONS_PER_IMAGE):
            caption = write_caption(rng, scene.categories, unnamed, scene.looks)
            captions.append({"id": len(captions) + 1, "image_id": image_id, "caption": caption})
        instances += _instances(scene, image_id, first_id=len(instances) + 1)
        segments = _segments(scene)
        panoptic.append({"image_id": image_id, "file_name": f"{stem}.png", "segments_info": segments})
        # COCO's panoptic PNG: id = R + 256·G + 256²·B; a segment's id here is its index + 1.
        ids = (scene.segments + 1).astype(np.uint8)
        Image.fromarray(np.stack([ids, np.zeros_like(ids), np.zeros_like(ids)], axis=-1)).save(
            folder / "panoptic" / f"{stem}.png"
        )
    categories = [
        {"id": number, "name": name, "supercategory": "thing" if name in THINGS else "ground",
         "isthing": int(name in THINGS)}
        for number, name in enumerate(NAMES, start=1)
    ]  # fmt: skip
    things = [category for category in categories if category["isthing"]]
    for name, content in (
        ("captions", {"images": listed, "annotations": captions}),
        ("instances", {"images": listed, "annotations": instances, "categories": things}),
        ("panoptic", {"images": listed, "annotations": panoptic, "categories": categories}),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content))


def _instances(scene: Scene, image_id: int, first_id: int) -> list[dict]:
    """COCO's annotations of the things of a scene."""
    things = [region for region, name in enumerate(scene.categories) if name in THINGS]
    codes = rle.encode(scene.segments == np.array(things)[:, None, None]) if things else []
    masks = Masks(codes, SIDE, SIDE)
    rows = zip(things, masks, masks.boxes(), masks.areas, strict=True)
    return [
        {
            "id": first_id + index,
            "image_id": image_id,
            "category_id": NAMES.index(scene.categories[region]) + 1,
            "segmentation": {"size": [SIDE, SIDE], "counts": code.decode()},
            "area": int(area),
            "bbox": [int(box[0]), int(box[1]), int(box[2] - box[0]), int(box[3] - box[1])],
            "iscrowd": 0,
        }
        for index, (region, code, box, area) in enumerate(rows)
    ]


def _segments(scene: Scene) -> list[dict]:
    """COCO's `segments_info` of a scene."""
    return [
        {
            "id": region + 1,
            "category_id": NAMES.index(name) + 1,
            "area": int((scene.segments == region).sum()),
            "iscrowd": 0,
            **({"attributes": seen.words} if seen else {}),
        }
        for region, (name, seen) in enumerate(zip(scene.categories, scene.attributes, strict=True))
    ]
