"""What every data set of images with a class for each pixel offers."""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from pipeline.evaluation.datasets.background import Background
    from pipeline.evaluation.datasets.distribution import Distribution
    from pipeline.evaluation.datasets.objects import ObjectClasses, TrueInstances, TrueSegments

IGNORE = 65535
"""Label of the pixels that do not count."""


@dataclass(frozen=True)
class LabelledImage:
    """An image and its labels, both turned upright by the EXIF orientation of the image."""

    image: np.ndarray
    """uint8 [H, W, 3] RGB."""
    labels: np.ndarray
    """uint16 [H, W]: index into the data set's classes, or IGNORE."""
    segments: "TrueSegments | None" = None
    """None: the data set has none."""
    instances: "TrueInstances | None" = None
    """None: the data set has none."""


class SegmentationDataset(Protocol):
    """Images by id. Opening one reads lists, not images, so that each worker opens its own."""

    @property
    def name(self) -> str:
        """The kind and the split."""
        ...

    @property
    def classes(self) -> list[tuple[str, ...]]:
        """The names of each class, by label. The first is the one to show; the others mean the same."""
        ...

    @property
    def objects(self) -> "ObjectClasses | None":
        """Which classes are things, and what of the objects is known; None: only what class each pixel has."""
        ...

    @property
    def background(self) -> "Background | None":
        """The class of what is none of the other classes, and of pixels that no mask covers; None: there is none."""
        ...

    @property
    def image_ids(self) -> list[str]:
        """Sorted."""
        ...

    @property
    def identity(self) -> dict[str, str]:
        """Changes with the list of images or of classes."""
        ...

    @property
    def files(self) -> "Distribution":
        """Where the files are."""
        ...

    def paths_of(self, image_id: str) -> tuple[str, ...]:
        """The image file and the label files of an image, for `files`; labels may also stand in a file of all images,
        whose digest is in `identity`.
        """
        ...

    def read(self, image_id: str) -> LabelledImage:
        """One image with its labels.

        Raises:
            UserError: a file is missing or damaged, the sizes of image and labels differ, or a label value has no
                meaning in this distribution.
        """
        ...


def describe(name: str, classes: list[tuple[str, ...]], image_ids: list[str], **more: str) -> dict[str, str]:
    """The identity of a data set: its name, digests of its classes and images, and `more`."""
    return {
        "name": name,
        "classes_sha256": hashlib.sha256(json.dumps(classes).encode()).hexdigest(),
        "images_sha256": hashlib.sha256(json.dumps(image_ids).encode()).hexdigest(),
        **more,
    }


def shown_names(dataset: SegmentationDataset) -> list[str]:
    """A name of each class for people, by label."""
    names = [names[0] for names in dataset.classes]
    if dataset.background is not None:
        names[dataset.background.label] = dataset.background.name
    return names


def synonyms(names: str) -> tuple[str, ...]:
    """The names of a class as ADE20K writes them: "door, double door".

    Different classes of a distribution may have the same names.
    """
    return tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
