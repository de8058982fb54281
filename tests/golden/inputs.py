"""Small inputs that are the same on every machine: pictures and weights come from integers, not from random numbers.

What numpy, torch or Pillow draw at random, or how they encode JPEG, may change with their version.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

HEIGHT, WIDTH = 72, 96
CLASSES = ("grass", "sky", "ball", "box")
"""Of the label images, by value."""
_COLOURS = ((40, 120, 50), (130, 180, 230), (210, 50, 40), (230, 200, 60))
_CAPTIONS = (
    ["A red ball lies on the grass.", "A ball beside a yellow box under the sky."],
    ["Two boxes on a green field.", "A box in the grass, with a blue sky behind it."],
    ["A ball and a box."],
    ["It is very quiet here."],  # no noun that can be seen
    ["The sky above a meadow with a ball.", "Grass and sky."],
    ["A box on the grass."],  # its image is none
)
_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "layers": 2, "width": 64, "head_width": 32},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def write_inputs(folder: Path) -> None:
    """`images/` (PNG), `labels/` (PNG, values as in `CLASSES`), `classes.txt`, `captions.json` (COCO) and `clip/`."""
    for name in ("images", "labels", "clip"):
        (folder / name).mkdir(parents=True)
    images, annotations = [], []
    for number, captions in enumerate(_CAPTIONS):
        labels_HW = _labels(number)
        name = f"{number:03d}.png"
        if number < len(_CAPTIONS) - 1:
            Image.fromarray(_picture(labels_HW, number)).save(folder / "images" / name)
            Image.fromarray(labels_HW).save(folder / "labels" / name)
        else:
            (folder / "images" / name).write_bytes(b"no image")
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        for caption in captions:
            annotations.append({"id": len(annotations), "image_id": number, "caption": caption})
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    _write_clip(folder / "clip")


def _labels(number: int) -> np.ndarray:
    """Sky above grass, a ball and a box at places of their own: uint8 [H,W]."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    labels_HW = np.where(rows < 20 + 5 * number, 1, 0)
    radius = 10 + number
    labels_HW[(rows - 48) ** 2 + (columns - 22 - 3 * number) ** 2 < radius**2] = 2
    labels_HW[30 + number : 58, 60 + 2 * number : 88] = 3
    return labels_HW.astype(np.uint8)


def _picture(labels_HW: np.ndarray, number: int) -> np.ndarray:
    """Every class in its colour with a grain, uint8 [H,W,3]."""
    grain = (_hashed(HEIGHT * WIDTH * 3, seed=number) % 13).astype(np.int64).reshape(HEIGHT, WIDTH, 3)
    return (np.array(_COLOURS)[labels_HW] + grain).astype(np.uint8)


def _write_clip(folder: Path) -> None:
    """A CLIP that knows nothing and tells everything apart, as an open_clip `local-dir:`."""
    weights = {}
    for name, tensor in open_clip.CLIP(**_CLIP).state_dict().items():
        # Between -1 and 1, and exact.
        values = (_hashed(tensor.numel(), seed=zlib.crc32(name.encode())) >> 8).astype(np.float64) / 2**23 - 1
        filled = torch.from_numpy(values.astype(np.float32)).reshape(tensor.shape)
        if name == "logit_scale":
            filled = torch.tensor(3.0)
        elif tensor.ndim > 1:
            filled *= 1.7 / (tensor.numel() // len(tensor)) ** 0.5
        else:
            filled = 1 + 0.1 * filled if name.endswith("weight") else 0.1 * filled
        weights[name] = filled.contiguous()
    save_file(weights, folder / "open_clip_model.safetensors")
    config = {"model_cfg": _CLIP, "preprocess_cfg": {"size": _CLIP["vision_cfg"]["image_size"]}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def _hashed(count: int, seed: int) -> np.ndarray:
    """Integers without a pattern, uint32 [count]: MurmurHash3's mixing of index and seed."""
    mixed = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    return mixed ^ (mixed >> np.uint32(16))
