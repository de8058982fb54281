"""What every set of whole images offers: its images, and for each of them a class or captions."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, Self

import numpy as np

from pipeline.captions import read_image
from pipeline.clip.template_choice import Templates
from pipeline.images import ImageProblem
from pipeline.retention.config import Task


class Pictures(Protocol):
    """The images of a set, in its order."""

    def __getitem__(self, index: int) -> bytes | np.ndarray:
        """An image: the bytes of its file as it is stored, or pixels uint8 [H,W,3].

        Raises:
            ImageProblem: it cannot be used.
            OSError: storage failed.
        """
        ...


@dataclass(frozen=True)
class File:
    """Where the file of an image is: an address by itself, or a range of a tar."""

    uri: str
    offset: int | None = None
    length: int | None = None
    problem: str | None = None
    """Why the distribution's lists make it unusable; nothing is read then."""


@dataclass(frozen=True)
class Files:
    """Images that are files."""

    files: Sequence[File]

    def __getitem__(self, index: int) -> bytes:
        """See `Pictures`."""
        file = self.files[index]
        if file.problem:
            raise ImageProblem(file.problem)
        try:
            return read_image(file.uri, file.offset, file.length)
        except FileNotFoundError:
            raise ImageProblem("missing_file", file.uri) from None


@dataclass(frozen=True)
class Pixels:
    """Images that are pixels."""

    stored: np.ndarray
    """uint8 [N,H,W,3]."""

    def __getitem__(self, index: int) -> np.ndarray:
        """See `Pictures`."""
        return self.stored[index]


@dataclass(frozen=True)
class ImageSet:
    """Whole images by index. Opening one reads lists, not images (but of CIFAR, which is one file)."""

    task: ClassVar[Task]

    name: str
    """The kind and the split."""
    image_ids: list[str]
    pictures: Pictures
    notes: tuple[str, ...]
    """What a reader of the figures has to know, such as classes without images."""

    @property
    def identity(self) -> dict[str, str]:
        """Changes with the list of images and with what belongs to them."""
        return {"name": self.name, "images_sha256": digest(self.image_ids)}

    def spread(self, most: int | None) -> np.ndarray:
        """Indices of at most so many images, evenly spread, int64."""
        count = len(self.image_ids) if most is None else min(most, len(self.image_ids))
        return np.arange(count) * len(self.image_ids) // max(count, 1)


@dataclass(frozen=True)
class ClassifiedImages(ImageSet):
    """Whole images of a class each."""

    task = "classification"

    labels: np.ndarray
    """int64 [N]: index into `classes`."""
    classes: list[str]
    templates: Templates
    """Of the class names."""

    @property
    def identity(self) -> dict[str, str]:
        """See `ImageSet`."""
        labels = {"labels_sha256": digest(self.labels.tolist()), "classes_sha256": digest(self.classes)}
        return {**super().identity, **labels, "templates_sha256": digest(self.templates)}

    def with_templates(self, templates: Templates | None) -> Self:
        """The same with other templates; None: with its own."""
        return self if templates is None else replace(self, templates=templates)


@dataclass(frozen=True)
class CaptionedImages(ImageSet):
    """Whole images with captions, at least one each that can be used."""

    task = "retrieval"

    captions: list[list[str]]
    """Of each image."""

    @property
    def identity(self) -> dict[str, str]:
        """See `ImageSet`."""
        return {**super().identity, "captions_sha256": digest(self.captions)}


def digest(value: object) -> str:
    """SHA-256 of lists, texts and numbers."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
