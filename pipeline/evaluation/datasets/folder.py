"""Your own images and label images: two directories with files of the same names, and a list of classes."""

import posixpath

import numpy as np

from pipeline import storage
from pipeline.errors import UserError
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.label_codes import LabelCodes
from pipeline.evaluation.datasets.labelled_images import LabelledImages
from pipeline.evaluation.datasets.protocol import IGNORE
from pipeline.segmentation.classes import parse_classes

_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_LABELS = (".png", ".tif", ".tiff")
_SOURCE = "your own data: dataset.images, dataset.labels and dataset.classes say where it is"


def open_folder(config: DatasetConfig) -> LabelledImages:
    """Images by their names without suffix.

    Raises:
        UserError: a directory or the list of classes is missing or empty, a label image has no image, two files
            would be the same image, or the values of labels cannot be told apart.
    """
    files = Distribution(config.root, _SOURCE)
    images = _by_stem(files, config.images, _IMAGES)
    labels = _by_stem(files, config.labels, _LABELS)
    if alone := sorted(labels.keys() - images.keys()):
        more = f" and {len(alone) - 1} other label images" if len(alone) > 1 else ""
        raise UserError(
            f"dataset.images: no image in {files.uri(config.images)} belongs to {files.uri(labels[alone[0]])}{more}"
        )
    classes = parse_classes(files.lines(config.classes), f"dataset.classes: {files.uri(config.classes)}")
    codes = {config.first_label + index: index for index in range(len(classes))}
    ignored = IGNORE if config.ignore is None else config.ignore
    if ignored in codes or config.first_label + len(classes) > IGNORE:
        raise UserError(
            f"dataset.ignore: {ignored} and the {len(classes)} classes, which begin at dataset.first_label "
            f"{config.first_label}, overlap; both must fit into 0 to {IGNORE}"
        )
    return LabelledImages(
        name="folder",
        files=files,
        classes=classes,
        paths={image_id: (images[image_id], path) for image_id, path in labels.items()},
        codes=LabelCodes(codes, [ignored]),
        values=_widened if config.ignore is None else Distribution.label_image,
        as_stored=False,
    )


def _widened(files: Distribution, path: str) -> np.ndarray:
    """Label values with 255 made IGNORE in 8-bit images."""
    values = files.label_image(path)
    return np.where(values == 255, np.uint16(IGNORE), values) if values.dtype == np.uint8 else values


def _by_stem(files: Distribution, folder: str, suffixes: tuple[str, ...]) -> dict[str, str]:
    """Paths of the files in a directory, by their names without suffix."""
    paths: dict[str, str] = {}
    for name in files.names(folder, suffixes):
        # Bytes of a name that are not UTF-8 would be in no table.
        stem = posixpath.splitext(name)[0].encode(errors="replace").decode()
        if stem in paths:
            raise UserError(f"{files.uri(paths[stem])} and {name} have the same name; which of them is meant?")
        paths[stem] = storage.join(folder, name)
    return paths
