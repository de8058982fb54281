"""Scenes of coloured shapes on two grounds, written as COCO writes them: images, captions, instances."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pipeline import masks as rle

SIDE = 160
"""Width and height of a scene, px."""

_COLOURS = {
    "red": (200, 40, 40), "orange": (230, 130, 30), "yellow": (230, 210, 50), "purple": (130, 60, 160),
    "white": (235, 235, 235), "black": (30, 30, 30), "brown": (120, 75, 40), "pink": (240, 150, 190),
}  # fmt: skip

_GROUNDS = {"grass": (70, 140, 60), "sand": (215, 190, 130), "water": (50, 110, 170)}
_SKY = (165, 205, 240)

_CROSS = [
    (-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3),
    (0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3),
]  # fmt: skip


def _star(x: float, y: float, r: float) -> list[tuple[float, float]]:
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, r, 0.45 * r)
    return list(zip(x + radii * np.cos(angles), y + radii * np.sin(angles), strict=True))


def _polygon(*points: tuple[float, float]) -> Callable[[ImageDraw.ImageDraw, float, float, float], None]:
    return lambda draw, x, y, r: draw.polygon([(x + px * r, y + py * r) for px, py in points], fill=1)


# Every thing draws itself in ones around a centre (x, y) with a radius r.
_THINGS: dict[str, Callable[[ImageDraw.ImageDraw, float, float, float], None]] = {
    "ball": lambda draw, x, y, r: draw.ellipse((x - r, y - r, x + r, y + r), fill=1),
    "box": _polygon((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)),
    "tent": _polygon((0, -1), (1, 0.8), (-1, 0.8)),
    "star": lambda draw, x, y, r: draw.polygon(_star(x, y, r), fill=1),
    "cross": _polygon(*_CROSS),
    "ring": lambda draw, x, y, r: draw.ellipse((x - r, y - r, x + r, y + r), outline=1, width=max(2, round(0.35 * r))),
    "house": _polygon((0, -1), (0.9, -0.2), (0.7, -0.2), (0.7, 0.9), (-0.7, 0.9), (-0.7, -0.2), (-0.9, -0.2)),
    "fence": lambda draw, x, y, r: (
        [
            draw.rectangle((x + left * r, y - 0.6 * r, x + (left + 0.22) * r, y + 0.6 * r), fill=1)
            for left in (-1, -0.5, 0, 0.5)
        ]
        + [draw.rectangle((x - r, y - 0.15 * r, x + 0.72 * r, y + 0.15 * r), fill=1)]
    ),
}

NOUNS = [*_THINGS, *_GROUNDS, "sky"]
"""Everything that a scene can show."""


def write_world(folder: Path, images: int, seed: int = 0) -> None:
    """Write `images/`, `captions.json` and `instances.json` (all things, grounds and skies) below `folder`.

    The same arguments give the same files.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    listed, captions, annotations = [], [], []
    for image_id in range(1, images + 1):
        pixels, objects, caption = _scene(rng)
        name = f"{image_id:06d}.jpg"
        Image.fromarray(pixels).save(folder / "images" / name, quality=95, subsampling=0)
        listed.append({"id": image_id, "file_name": name, "width": SIDE, "height": SIDE})
        captions.append({"id": image_id, "image_id": image_id, "caption": caption})
        for noun, mask in objects:
            [counts] = rle.encode(mask[None])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": NOUNS.index(noun) + 1,
                    "segmentation": {"size": [SIDE, SIDE], "counts": counts.decode()},
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": noun} for number, noun in enumerate(NOUNS, start=1)]
    (folder / "captions.json").write_text(json.dumps({"images": listed, "annotations": captions}))
    (folder / "instances.json").write_text(
        json.dumps({"images": listed, "annotations": annotations, "categories": categories})
    )


def _scene(rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[str, np.ndarray]], str]:
    """Pixels uint8 [SIDE,SIDE,3], what can be seen of every noun (bool [SIDE,SIDE]), and a caption."""
    ground = rng.choice(list(_GROUNDS))
    horizon = int(rng.integers(50, 80))
    is_sky = np.broadcast_to(np.arange(SIDE)[:, None] < horizon, (SIDE, SIDE))
    pixels = np.where(is_sky[..., None], _SKY, _GROUNDS[ground]) + rng.normal(0, 10, (SIDE, SIDE, 1))
    objects = [("sky", is_sky.copy()), (ground, ~is_sky)]
    named = []
    count = int(rng.integers(1, 4))
    for place, noun in enumerate(rng.choice(list(_THINGS), size=count, replace=False)):
        colour = rng.choice(list(_COLOURS))
        radius = rng.uniform(17, 24)
        x, y = (place + 0.5) * SIDE / count + rng.uniform(-4, 4), rng.uniform(95, 130)
        canvas = Image.new("L", (SIDE, SIDE), 0)
        _THINGS[noun](ImageDraw.Draw(canvas), x, y, radius)
        shape = np.asarray(canvas).astype(bool)
        pixels = np.where(shape[..., None], _COLOURS[colour] + rng.normal(0, 6, (SIDE, SIDE, 1)), pixels)
        objects = [(seen, mask & ~shape) for seen, mask in objects]
        objects.append((str(noun), shape))
        named.append(f"a {colour} {noun}")
    caption = " and ".join(named) + f" on the {ground} under the sky"
    return pixels.clip(0, 255).astype(np.uint8), objects, caption.capitalize() + "."
