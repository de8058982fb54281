"""Small sets of whole images in the layouts of their distributions, drawn on the spot."""

import json
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("airplane", "golden retriever", "red bus", "sofa", "tree", "zebra")


def picture(seed: int, height: int = 40, width: int = 48) -> np.ndarray:
    """A picture of coarse noise, uint8 [H,W,3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)


def write_picture(path: Path, seed: int, **sizes: int) -> None:
    """Write a picture; PNG, JPEG or WebP by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, **sizes)).save(path)


def write_class_folders(folder: Path, images: int = 6) -> None:
    """A folder for each of CLASSES, with spaces as underscores; pictures of several sizes and kinds."""
    for label, name in enumerate(CLASSES):
        for number in range(images):
            suffix = ("jpg", "png", "webp")[number % 3]
            path = folder / name.replace(" ", "_") / f"{number}.{suffix}"
            write_picture(path, 100 * label + number, height=40 + 8 * (number % 2), width=48)


def captions_of(number: int) -> list[str]:
    """Captions of an image, all different; every third image has one more."""
    things = ("dog", "bus", "sofa", "tree", "zebra", "lamp", "boat")
    return [
        f"a photo of a {things[(number + place) % 7]} number {number} beside, in view {place}, a small {things[place]}"
        for place in range(5 + (number % 3 == 0))
    ]


def write_coco(root: Path, images: int = 24) -> None:
    """`val2017/` and `annotations/captions_val2017.json`."""
    records, annotations = [], []
    for number in range(images):
        name = f"{number + 1:012d}.jpg"
        write_picture(root / "val2017" / name, number)
        records.append({"id": number + 1, "file_name": name})
        for caption in captions_of(number):
            annotations.append({"id": len(annotations) + 1, "image_id": number + 1, "caption": caption})
    (root / "annotations").mkdir(exist_ok=True)
    content = {"images": records, "annotations": annotations}
    (root / "annotations" / "captions_val2017.json").write_text(json.dumps(content))


def write_cifar_10(root: Path, count: int = 40) -> np.ndarray:
    """`cifar-10-batches-py`, as Python 2 pickled it; returns the pixels of the test images, uint8 [N,32,32,3]."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = b"airplane automobile bird cat deer dog frog horse ship truck".split()
    images_NHW3 = np.stack([picture(number, 32, 32) for number in range(count)])
    rows_NC = np.ascontiguousarray(images_NHW3.transpose(0, 3, 1, 2).reshape(count, -1))
    labels = [number % 10 for number in range(count)]
    for name in ("test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        (folder / name).write_bytes(pickle.dumps({b"data": rows_NC, b"labels": labels}, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}, protocol=2))
    return images_NHW3
