"""Label images, and beside each of them an image that tells its objects apart."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.labelled_images import LabelledImages
from pipeline.evaluation.datasets.objects import ObjectClasses
from pipeline.evaluation.datasets.protocol import LabelledImage


@dataclass(frozen=True)
class LabelledObjects:
    """Three files of each image; see `SegmentationDataset`."""

    labelled: LabelledImages
    """The label images."""
    objects: ObjectClasses
    beside: tuple[str, str]
    """A part of the path of a label file, and what stands there in the path of the file of objects."""
    numbers: Callable[[Distribution, str], np.ndarray]
    """Reads the numbers of a file of objects, int32 [H,W]."""
    with_objects: Callable[[LabelledImage, np.ndarray, str], LabelledImage]
    """The image with its objects, from the numbers, which are as upright as the image, and the address of their file
    for messages."""
    background = None

    @property
    def name(self) -> str:
        """See `SegmentationDataset`."""
        return self.labelled.name

    @property
    def classes(self) -> list[tuple[str, ...]]:
        """See `SegmentationDataset`."""
        return self.labelled.classes

    @property
    def image_ids(self) -> list[str]:
        """See `SegmentationDataset`."""
        return self.labelled.image_ids

    @property
    def identity(self) -> dict[str, str]:
        """See `SegmentationDataset`."""
        return self.labelled.identity

    @property
    def files(self) -> Distribution:
        """See `SegmentationDataset`."""
        return self.labelled.files

    def paths_of(self, image_id: str) -> tuple[str, ...]:
        """See `SegmentationDataset`."""
        image, labels = self.labelled.paths_of(image_id)
        return image, labels, labels.replace(*self.beside, 1)

    def read(self, image_id: str) -> LabelledImage:
        """See `SegmentationDataset`."""
        image, labels, objects = self.paths_of(image_id)
        picture = self.files.picture(image)
        labels_HW = self.labelled.labels(labels)
        numbers_HW = self.numbers(self.files, objects)
        # Both files follow the stored rows and columns.
        sample = LabelledImage(
            picture.pixels, self.files.upright_labels(picture, image, labels_HW, labels, as_stored=True)
        )
        numbers_HW = self.files.upright_labels(picture, image, numbers_HW, objects, as_stored=True)
        return self.with_objects(sample, numbers_HW, self.files.uri(objects))
