"""Data sets of masks of objects and nothing else: COCO's instances and LVIS v1. AP, and how CLIP names the masks.

In LVIS, categories were looked for image by image: of each image some of the 1,203 are known to be absent, of some not
all objects are annotated, and of the others nothing is known (see `TrueInstances`). Pixels have no labels here, and
there is no mIoU.
"""

import posixpath
from functools import cached_property

import numpy as np

from pipeline.captions.addresses import inner_name
from pipeline.errors import UserError
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.instance_annotations import InstanceAnnotations
from pipeline.evaluation.datasets.objects import ObjectClasses
from pipeline.evaluation.datasets.protocol import IGNORE, LabelledImage, describe

_COCO = (
    "http://images.cocodataset.org/zips/{split}.zip and "
    "http://images.cocodataset.org/annotations/annotations_trainval2017.zip (https://cocodataset.org/#download)"
)
_LVIS = (
    "lvis_v1_{split}.json.zip (https://www.lvisdataset.org/dataset), and "
    "http://images.cocodataset.org/zips/train2017.zip and http://images.cocodataset.org/zips/val2017.zip"
)


class InstanceImages:
    """Images and a JSON file; see `SegmentationDataset`."""

    background = None

    def __init__(self, name: str, files: Distribution, annotations: str, images: str = "") -> None:
        """
        Args:
            annotations: the JSON file.
            images: the directory that its names of images are in.

        Raises:
            UserError: a part is missing or malformed.
        """
        self.name = name
        self.files = files
        self._annotations = InstanceAnnotations(files, annotations)
        records = self._annotations.categories
        self._labels = {category: label for label, category in enumerate(records)}
        self.classes = [_names(record) for record in records.values()]
        self.objects = self._objects(files.uri(annotations), list(records.values()))
        try:
            self._paths = {
                image: posixpath.join(images, inner_name(listed.file_name))
                for image, listed in self._annotations.images.items()
            }
        except ValueError as error:
            raise UserError(f"{files.uri(annotations)}: {error}") from error
        files.check("", self._paths.values())

    def _objects(self, uri: str, records: list[dict]) -> ObjectClasses:
        things = frozenset(range(len(records)))
        frequencies = tuple(str(record.get("frequency")) for record in records)
        if set(frequencies) <= {"None"}:
            return ObjectClasses(things, panoptic=False, instances=True)
        if strange := set(frequencies) - set("rcf"):
            raise UserError(
                f"{uri}: the frequency of a category is {min(strange)!r}, not r, c or f; is it of LVIS v1? It is part "
                f"of {self.files.source}"
            )
        return ObjectClasses(
            things, panoptic=False, instances=True, frequencies=frequencies, most_in_image=300, most_of_class=None
        )

    @cached_property
    def image_ids(self) -> list[str]:
        """See `SegmentationDataset`."""
        return sorted(self._paths)

    @property
    def identity(self) -> dict[str, str]:
        """See `SegmentationDataset`."""
        return describe(self.name, self.classes, self.image_ids, annotations_sha256=self._annotations.sha256)

    def paths_of(self, image_id: str) -> tuple[str, ...]:
        """See `SegmentationDataset`."""
        return (self._paths[image_id],)

    def read(self, image_id: str) -> LabelledImage:
        """See `SegmentationDataset`."""
        image = self.files.picture(self._paths[image_id]).pixels
        size = image.shape[:2]
        instances = self._annotations.read(image_id, self._labels, (size[0], size[1]))
        return LabelledImage(image, np.full(size, IGNORE, np.uint16), instances=instances)


def _names(record: dict) -> tuple[str, ...]:
    """The names of a category: "bow_(weapon)" is a bow."""
    synonyms = record.get("synonyms") or [record["name"]]
    names = (str(name).replace("_", " ").strip() for name in synonyms)
    return tuple(dict.fromkeys(names))


def open_coco_instances(config: DatasetConfig) -> InstanceImages:
    """COCO 2017 with 80 categories: `val2017/` and `annotations/instances_val2017.json`.

    Raises:
        UserError: a part is missing or malformed.
    """
    split = config.split or "val2017"
    files = Distribution(config.root, _COCO.format(split=split))
    return InstanceImages(f"coco_instances/{split}", files, f"annotations/instances_{split}.json", split)


def open_lvis_v1(config: DatasetConfig) -> InstanceImages:
    """`lvis_v1_val.json`, also in `annotations`, and COCO's `train2017` and `val2017`.

    Raises:
        UserError: a part is missing or malformed.
    """
    split = config.split or "val"
    files = Distribution(config.root, _LVIS.format(split=split))
    annotations = f"lvis_v1_{split}.json"
    return InstanceImages(f"lvis_v1/{split}", files, files.folder(annotations, f"annotations/{annotations}"))
