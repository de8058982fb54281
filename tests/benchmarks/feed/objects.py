"""Objects that people outlined in images of a COCO dataset."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask


def outlined(coco: str, count: int, height: int, width: int) -> Iterator[np.ndarray]:
    """The largest `count` objects, as masks uint8 [height,width]; their images are stretched to that size."""
    document = json.loads((Path(coco) / "annotations" / "instances.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in document["images"]}
    objects = sorted((found for found in document["annotations"] if not found["iscrowd"]), key=lambda x: -x["area"])
    for found in objects[:count]:
        code = coco_mask.merge(coco_mask.frPyObjects(found["segmentation"], *sizes[found["image_id"]]))
        yield cv2.resize(coco_mask.decode(code), (width, height), interpolation=cv2.INTER_NEAREST)
