"""Images of an evaluation, with what is true and what was predicted as layers to lay over them."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.errors import UserError
from pipeline.evaluation.datasets import IGNORE, DatasetConfig, SegmentationDataset, open_dataset, shown_names
from pipeline.images import ImageProblem, open_image
from pipeline.report.evaluation.reading import EvaluatedModel, read_label_maps
from pipeline.report.page import data_url
from pipeline.segmentation import UNLABELLED
from pipeline.segmentation.drawing import class_colours, outlines

_SIDE = 400
"""Pixels of the longest side of a picture."""
_WRONG, _UNNAMED = (213, 94, 0), (204, 121, 167)  # of Okabe and Ito's palette
_NAMED_SHARE = 0.005
"""Of the pixels: smaller classes are not listed below a picture."""


@dataclass(frozen=True)
class Layer:
    """A label map as two transparent PNGs, as data URLs."""

    classes: str
    """The colours of the classes, with outlines."""
    mistakes: str
    """Only what differs from the truth; empty for the truth itself."""
    description: str
    """The classes and their shares, in words."""


@dataclass(frozen=True)
class ShownImage:
    """One image of the data set."""

    image_id: str
    photograph: str
    """JPEG as a data URL."""
    width: int
    height: int
    """Of the pictures, in pixels."""
    truth: Layer
    predictions: list[Layer]
    """One a model."""
    legend: list[tuple[str, str, float]]
    """Classes that are there or predicted, those of most true pixels first: name, colour, share of the true pixels."""


def choose_images(mious: Mapping[str, float], count: int) -> dict[str, list[str]]:
    """The ids of the worst, the median and the best images, `count` of each; fewer groups where there are few images.

    Args:
        mious: by image.
    """
    order = sorted(mious, key=lambda image_id: (mious[image_id], image_id))
    worst, best = order[:count], order[::-1][:count]
    if len(order) < 3 * count:
        return {"worst": order}
    middle = (len(order) - count) // 2
    return {"worst": worst, "median": order[middle : middle + count], "best": best}


def open_evaluated(model: EvaluatedModel) -> SegmentationDataset:
    """The data set of an evaluation.

    Raises:
        UserError: it is not there any more, or has changed since.
    """
    dataset = open_dataset(DatasetConfig(**model.description["configuration"]["dataset"]))
    if not dataset.identity.items() <= model.description["dataset"].items():
        raise UserError(f"{model.description['configuration']['dataset']['root']} has changed since")
    return dataset


def draw_scenes(
    dataset: SegmentationDataset, models: Sequence[EvaluatedModel], image_ids: Sequence[str]
) -> dict[str, ShownImage]:
    """The pictures of some images, by id.

    Raises:
        UserError: an image cannot be read.
        OSError: storage cannot be read.
    """
    found = [read_label_maps(model, set(image_ids)) for model in models]
    return {
        image_id: _draw(dataset, image_id, [_decode(maps[image_id], len(dataset.classes)) for maps in found])
        for image_id in image_ids
    }


def _draw(dataset: SegmentationDataset, image_id: str, predictions: list[np.ndarray]) -> ShownImage:
    sample = dataset.read(image_id)
    height, width = sample.labels.shape
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    truth, *predicted = (
        np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
        for labels in (sample.labels, *predictions)
    )
    # What nobody labelled counts as nothing, whatever was predicted there.
    truth = np.where(truth == IGNORE, np.uint16(UNLABELLED), truth)
    buffer = io.BytesIO()
    Image.fromarray(sample.image).resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=82)
    names, colours = shown_names(dataset), class_colours(len(dataset.classes))
    return ShownImage(
        image_id,
        data_url(buffer.getvalue()),
        *size,
        Layer(_class_layer(truth, colours), "", _describe(truth, names)),
        [
            Layer(_class_layer(labels, colours), _mistake_layer(labels, truth), _describe(labels, names))
            for labels in predicted
        ],
        _legend(truth, predicted, names, colours),
    )


def _decode(png: bytes, classes: int) -> np.ndarray:
    """A kept label map, uint16 [h,w].

    Raises:
        UserError: it is damaged.
    """
    try:
        labels = np.asarray(open_image(png, ("PNG",))).astype(np.uint16)
    except ImageProblem as problem:
        raise UserError(f"a label map that the evaluation kept is damaged ({problem}); evaluate again") from problem
    return np.where(labels >= classes, np.uint16(UNLABELLED), labels)


def _class_layer(labels: np.ndarray, colours: np.ndarray) -> str:
    known = labels != UNLABELLED
    pixels = np.zeros((*labels.shape, 4), np.uint8)
    pixels[known, :3], pixels[known, 3] = colours[labels[known]], 255
    pixels[outlines(labels)] = 255
    return _png(pixels)


def _mistake_layer(labels: np.ndarray, truth: np.ndarray) -> str:
    pixels = np.zeros((*labels.shape, 4), np.uint8)
    wrong = (labels != truth) & (truth != UNLABELLED)
    pixels[wrong] = (*_WRONG, 255)
    pixels[wrong & (labels == UNLABELLED)] = (*_UNNAMED, 255)
    return _png(pixels)


def _png(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return data_url(buffer.getvalue(), "png")


def _describe(labels: np.ndarray, names: Sequence[str]) -> str:
    return ", ".join(f"{names[label]} {share:.0%}" for label, share in _shares(labels)) or "nothing"


def _legend(
    truth: np.ndarray, predicted: Sequence[np.ndarray], names: Sequence[str], colours: np.ndarray
) -> list[tuple[str, str, float]]:
    there = dict(_shares(truth))
    for labels in predicted:
        there |= {label: 0.0 for label, _ in _shares(labels) if label not in there}
    return [(names[label], "#{:02x}{:02x}{:02x}".format(*colours[label]), share) for label, share in there.items()]


def _shares(labels: np.ndarray) -> list[tuple[int, float]]:
    """The classes of a label map and their shares of its pixels, the largest first, without the smallest."""
    found = zip(*(part.tolist() for part in np.unique(labels, return_counts=True)), strict=True)
    shares = [(label, count / labels.size) for label, count in found if label != UNLABELLED]
    return sorted((row for row in shares if row[1] >= _NAMED_SHARE), key=lambda row: (-row[1], row[0]))
