"""Data sets that are an image file and a label file per image."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.datasets.background import Background
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.label_codes import LabelCodes
from pipeline.evaluation.datasets.protocol import LabelledImage, describe


@dataclass(frozen=True)
class LabelledImages:
    """Pairs of files; see `SegmentationDataset`."""

    name: str
    files: Distribution
    classes: list[tuple[str, ...]]
    paths: dict[str, tuple[str, str]]
    """By image id: where the image and its labels are."""
    codes: LabelCodes
    """What the label values mean."""
    values: Callable[[Distribution, str], np.ndarray] = Distribution.label_image
    """Reads the label values, integers [H, W], of a label file."""
    as_stored: bool = True
    """The labels follow the rows and columns of the stored image, as those of all distributions do: the official tools
    (MATLAB's `imread`) do not know of EXIF. False: those of the upright image, unless their size fits the stored one
    alone."""
    background: Background | None = None

    @property
    def objects(self) -> None:
        """See `SegmentationDataset`."""
        return None

    @property
    def image_ids(self) -> list[str]:
        """See `SegmentationDataset`."""
        return sorted(self.paths)

    @property
    def identity(self) -> dict[str, str]:
        """See `SegmentationDataset`."""
        return describe(self.name, self.classes, self.image_ids, codes_sha256=self.codes.sha256)

    def paths_of(self, image_id: str) -> tuple[str, str]:
        """See `SegmentationDataset`."""
        return self.paths[image_id]

    def read(self, image_id: str) -> LabelledImage:
        """See `SegmentationDataset`."""
        image_path, labels_path = self.paths[image_id]
        return self.files.sample(image_path, self.labels(labels_path), labels_path, self.as_stored)

    def labels(self, path: str) -> np.ndarray:
        """Class indices or IGNORE of a label file, as it is stored, uint16 [H, W].

        Raises:
            UserError: it is missing or damaged, or a value has no meaning.
        """
        return self.codes.classes(self.values(self.files, path), self.files.uri(path))


def listed_paths(
    files: Distribution, image_ids: list[str], images: str, labels: str, suffix: str = ".png"
) -> dict[str, tuple[str, str]]:
    """The paths of listed images, `images/ID.jpg` and `labels/IDsuffix`.

    Raises:
        UserError: one is not there.
    """
    files.check(images, [f"{image_id}.jpg" for image_id in image_ids])
    files.check(labels, [f"{image_id}{suffix}" for image_id in image_ids])
    return {image_id: (f"{images}/{image_id}.jpg", f"{labels}/{image_id}{suffix}") for image_id in image_ids}
