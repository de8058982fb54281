"""Samples for shards, made up."""

import numpy as np

import schemas
from pipeline.dataset.shards import Sample


def make_sample(mask: np.ndarray, key: str = "000000-00000-000", noun: str = "dog", image_id: str = "7") -> Sample:
    """A sample with the given mask (bool [H,W]), on an image whose red grows downwards and green to the right."""
    height, width = mask.shape
    ys, xs = np.nonzero(mask)
    row = {field.name: None if field.nullable else 0 for field in schemas.MANIFEST}
    row |= {"key": key, "noun": noun, "image_id": image_id, "image_uri": f"{image_id}.jpg", "image_height": height}
    row |= {"surface": noun, "caption": f"a {noun}", "mask_rle": "", "image_width": width, "image_sha256": ""}
    row |= {"box_x0": int(xs.min()), "box_y0": int(ys.min())}
    row |= {"box_x1": int(xs.max()) + 1, "box_y1": int(ys.max()) + 1, "mask_area": int(mask.sum())}
    for column in ("tar_offset", "tar_length", "crc32"):  # known when the sample is in its tar
        del row[column]
    gradient = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1) % 256
    image = np.concatenate([gradient, np.full((height, width, 1), 90)], axis=-1).astype(np.uint8)
    return Sample(row, image, mask)


def rectangle(height: int, width: int, y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
    """A mask bool [height,width] of one rectangle, y1 and x1 exclusive."""
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask
