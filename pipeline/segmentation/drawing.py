"""Label maps as files that people and programs can read."""

import colorsys
import io
import json
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.segmentation.fusion import UNLABELLED

_PALETTE_UNLABELLED = 255
_OVERLAY_SIDES = (640, 1280)
_OPACITY = 0.55
_NAMED_SHARE = 0.02
_GOLDEN_RATIO = 0.6180339887
_OKABE_ITO = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)]
)

Colour = tuple[int, int, int]


def class_colours(count: int) -> np.ndarray:
    """A colour for each class, uint8 [C,3] RGB; neighbours in the list look different.

    The first seven are those of Okabe and Ito, which colour-blind people can tell apart.
    """
    tones = ((0.75, 1.0), (0.9, 0.75), (0.5, 0.95))  # saturation and brightness, in turn
    hues = [
        colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1, *tones[index % len(tones)])
        for index in range(len(_OKABE_ITO), count)
    ]
    further = np.round(np.array(hues).reshape(-1, 3) * 255)
    return np.concatenate([_OKABE_ITO[:count], further]).astype(np.uint8)


def classes_json(classes: Sequence[tuple[str, ...]]) -> bytes:
    """What the numbers in the label maps mean: index, names and colour of each class."""
    rows = [
        {"index": index, "names": list(names), "colour": "#{:02x}{:02x}{:02x}".format(*colour)}
        for index, (names, colour) in enumerate(zip(classes, class_colours(len(classes)).tolist(), strict=True))
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False).encode()


def label_png(labels: np.ndarray, classes: int) -> bytes:
    """A label map uint16 [H,W] as PNG: 8-bit with the classes' colours as its palette and 255 for unlabelled pixels,
    or, with more than 255 classes, 16-bit grey and 65535.
    """
    if classes > _PALETTE_UNLABELLED:
        image = Image.fromarray(labels)
    else:
        image = Image.fromarray(np.where(labels == UNLABELLED, _PALETTE_UNLABELLED, labels).astype(np.uint8))
        palette = np.zeros((256, 3), np.uint8)
        palette[:classes] = class_colours(classes)
        image.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def overlay_jpeg(image: np.ndarray, labels: np.ndarray, classes: Sequence[tuple[str, ...]]) -> bytes:
    """The classes' colours over the image in grey, with outlines, names in the larger regions, and a legend of all.

    Scaled to a longest side of 640 to 1280 px, without the legend. Unlabelled pixels keep the image's own colour.

    Args:
        image: uint8 [H,W,3] RGB.
        labels: uint16 [H,W].
    """
    scale = np.clip(max(labels.shape), *_OVERLAY_SIDES) / max(labels.shape)
    size = tuple(max(1, round(side * scale)) for side in reversed(labels.shape))
    picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    labels = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))

    palette = class_colours(len(classes))
    labelled = labels != UNLABELLED
    pixels, grey = np.array(picture), np.asarray(picture.convert("L"))
    # Over grey, so that a class looks the same on a blue sky as in the legend.
    pixels[labelled] = (1 - _OPACITY) * grey[labelled, None] + _OPACITY * palette[labels[labelled]]
    pixels[outlines(labels)] = 255
    picture = Image.fromarray(pixels)
    rows = []
    for label, count in zip(*(part.tolist() for part in np.unique(labels, return_counts=True)), strict=True):
        known = label != UNLABELLED
        name, colour = (classes[label][0], tuple(palette[label].tolist())) if known else ("unlabelled", None)
        rows.append((name, colour, count / labels.size))
        if known and rows[-1][2] >= _NAMED_SHARE:
            _write_name(picture, labels == label, name)
    rows.sort(key=lambda row: -row[2])
    buffer = io.BytesIO()
    _with_legend(picture, rows).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _write_name(picture: Image.Image, inside: np.ndarray, name: str) -> None:
    """Write a name where a region, bool [H,W], is widest."""
    padded = np.pad(inside, 1).astype(np.uint8)  # the border of the picture is an end of the region, too
    distances = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = divmod(int(distances.argmax()), inside.shape[1])
    size = max(12, min(picture.size) // 28)
    ImageDraw.Draw(picture).text(
        (x, y), name, fill="white", stroke_fill="black", stroke_width=2, font=ImageFont.load_default(size), anchor="mm"
    )


def outlines(labels: np.ndarray) -> np.ndarray:
    """bool [H,W]: pixels whose neighbour to the right or below has another label."""
    edges = np.zeros(labels.shape, bool)
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edges[:-1] |= labels[:-1] != labels[1:]
    return edges


def _with_legend(picture: Image.Image, rows: list[tuple[str, Colour | None, float]]) -> Image.Image:
    """A picture with a column on its right: colour, name and share of the area of each row, as many as fit."""
    line = int(np.clip(max(picture.size) / 24, 16, 28))
    font = ImageFont.load_default(round(0.7 * line))
    height = max(picture.height, 3 * line)
    entries = [(f"{name}  {share:.0%}" if share >= 0.01 else f"{name}  <1%", colour) for name, colour, share in rows]
    fitting = height // line - 1
    if len(entries) > fitting:
        entries[fitting - 1 :] = [(f"and {len(entries) - fitting + 1} more", None)]
    width = round(max(font.getlength(text) for text, _ in entries) + 2.5 * line)
    canvas = Image.new("RGB", (picture.width + width, height), "white")
    canvas.paste(picture)
    draw = ImageDraw.Draw(canvas)
    for row, (text, colour) in enumerate(entries):
        x, y = picture.width + line // 2, line // 2 + row * line
        if colour:
            over_grey = tuple(round((1 - _OPACITY) * 128 + _OPACITY * value) for value in colour)
            draw.rectangle((x, y + line // 8, x + 3 * line // 4, y + 7 * line // 8), fill=over_grey, outline="gray")
        draw.text((x + 1.25 * line, y + line / 2), text, fill="black", font=font, anchor="lm")
    return canvas
