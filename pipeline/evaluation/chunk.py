"""A few images evaluated together: the unit of work, of retry and of resumption."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pyarrow as pa

import schemas
from pipeline import storage
from pipeline.evaluation.background import uncovered_as_background, unlikely_as_background
from pipeline.evaluation.boxes import boxes_as_masks
from pipeline.evaluation.branches import NEED_CLASSES, TrueRegion, label_maps, true_masks, true_regions
from pipeline.evaluation.confusion import ClassPixels, ConfusionMatrix
from pipeline.evaluation.cost import Stopwatch
from pipeline.evaluation.datasets import IGNORE, LabelledImage, SegmentationDataset
from pipeline.evaluation.label_maps import LABEL_MAPS, label_map_row
from pipeline.evaluation.object_branches import TrueMasks, select, true_object_masks
from pipeline.evaluation.object_tables import OBJECT_TABLES, ObjectTables
from pipeline.images import ImageProblem
from pipeline.masks.masks import Masks
from pipeline.proposals import Proposals
from pipeline.proposals.proposer import Queries
from pipeline.segmentation import UNLABELLED, Prediction, Segmenter
from pipeline.segmentation.segmenter import ImageIdentity

TABLES = ("confusion", "class_pixels", "regions", LABEL_MAPS, "images")
"""Folders of the tables of a chunk; the last one is written last, and its presence says that the chunk is done."""


BOX_REGIONS = "box_regions"
"""The folder of what CLIP says of true objects in their boxes, where that is asked for."""


def tables_of(dataset: SegmentationDataset, true_boxes: bool = False) -> tuple[str, ...]:
    """The folders of the tables of a chunk of this data set, in the order in which they are written."""
    boxes = (BOX_REGIONS,) if true_boxes else ()
    return (*boxes, *TABLES) if dataset.objects is None else (*boxes, *OBJECT_TABLES, *TABLES)


def chunk_uri(output: str, table: str, chunk: int) -> str:
    """Where a table of a chunk lies."""
    return storage.join(output, table, f"{chunk:06d}.parquet")


@dataclass
class _Image:
    """An image whose regions are with CLIP: those of its proposals, its true masks, and those of its objects."""

    image_id: str
    sample: LabelledImage
    present: list[int]
    """The classes of the true masks."""
    problem: str | None
    """Why the backend could not use it."""
    objects: TrueMasks
    """None at all if things are not told apart."""
    predictions: dict[str, Prediction] = field(default_factory=dict)
    """What has come back, by what it is about: `proposals`, `truth`, `objects`, `boxes`."""


def evaluate_chunk(
    dataset: SegmentationDataset,
    segmenter: Segmenter,
    image_ids: list[str],
    identities: Sequence[ImageIdentity] = (),
    stopwatch: Stopwatch | None = None,
    *,
    true_boxes: bool = False,
) -> dict[str, pa.Table]:
    """The tables of a chunk, by name.

    An image that the proposal backend cannot use is segmented without proposals, and its row says why.

    Args:
        identities: what identifies each image, for a bank that may hold regions of it; none: nothing is known.
        stopwatch: counts the seconds of each stage.
        true_boxes: CLIP names every true instance in its box too.

    Raises:
        UserError: an image or its labels cannot be used, or CLIP's embeddings are not numbers.
    """
    stopwatch = stopwatch or Stopwatch()
    counts: dict[str, ConfusionMatrix] = {}
    class_pixels = [schemas.CLASS_PIXELS.empty_table()]
    regions, box_regions, kept_maps, images = [], [], [], []
    threshold = segmenter.config.mask_threshold
    identity_of = dict(zip(image_ids, identities, strict=True)) if identities else {}
    classes, background = len(dataset.classes), dataset.background
    about_objects = ObjectTables(dataset.objects, classes, segmenter.config) if dataset.objects else None

    def read() -> Iterator[tuple[np.ndarray, str, tuple[str, LabelledImage]]]:
        for image_id in image_ids:
            with stopwatch.stage("read"):
                sample = dataset.read(image_id)
            yield sample.image, image_id, (image_id, sample)

    def proposed() -> Iterator[tuple[np.ndarray, Proposals | Queries, float, tuple[_Image, str]]]:
        for (image_id, sample), pixels, found in stopwatch.each("propose", segmenter.propose_each(read())):
            problem = None
            if isinstance(found, ImageProblem):
                found, problem = Proposals(Masks([], *sample.labels.shape), np.zeros(0, np.float32)), str(found)
            elif isinstance(found, Exception):
                raise found
            present, truth = true_masks(sample.labels)
            objects = true_object_masks(sample)
            image = _Image(image_id, sample, present, problem, objects)
            yield pixels, found, threshold, (image, "proposals")
            yield pixels, truth, threshold, (image, "truth")
            if about_objects:
                each = Proposals(objects.masks, np.ones(len(objects.masks), np.float32))
                yield pixels, each, threshold, (image, "objects")
            if true_boxes:
                boxes = boxes_as_masks(objects.masks.select(objects.of_instances))
                each = Proposals(boxes, np.ones(len(boxes), np.float32))
                yield pixels, each, threshold, (image, "boxes")

    def image_of(companion: tuple[_Image, str]) -> ImageIdentity:
        return identity_of.get(companion[0].image_id, ())

    for (image, about), result in stopwatch.each("classify", segmenter.classify(proposed(), image_of)):
        image.predictions[about] = result
        if len(image.predictions) < 2 + (about_objects is not None) + true_boxes:
            continue
        prediction, on_truth = (
            unlikely_as_background(image.predictions[of], background) for of in ("proposals", "truth")
        )
        labels = image.sample.labels
        maps = label_maps(prediction, labels, segmenter.config.weight)
        if image.problem and segmenter.classifies:
            # There are no class logits of this image, and yet it counts in every way.
            nothing = np.full(labels.shape, UNLABELLED, np.uint16)
            maps |= dict.fromkeys(NEED_CLASSES, nothing)
        maps["true_masks"] = on_truth.label_map(1.0)
        maps = {branch: uncovered_as_background(predicted, background) for branch, predicted in maps.items()}
        for branch, predicted in maps.items():
            found_pixels = counts.setdefault(branch, ConfusionMatrix(classes, IGNORE)).update(predicted, labels)
            class_pixels.append(class_pixels_table(branch, image.image_id, found_pixels))
        kept_maps.append(label_map_row(image.image_id, maps, labels, classes))
        if about_objects:
            without = NEED_CLASSES if image.problem and segmenter.classifies else ()
            on_objects = image.predictions["objects"]
            about_objects.add(image.image_id, image.sample, prediction, image.objects, on_objects, without)
        found: list[TrueRegion] = true_regions(image.present, on_truth)
        if image.sample.instances is not None and image.sample.segments is None:
            # Without a label for each pixel, regions are objects.
            each_instance = select(image.predictions["objects"], image.objects.of_instances)
            found = true_regions(image.objects.instance_labels.tolist(), each_instance)
        if background is not None:
            # It is no thing to name; it stays what others can be taken for.
            found = [region for region in found if region.label != background.label]
        regions += _rows(image.image_id, found)
        if true_boxes:
            in_boxes = true_regions(image.objects.instance_labels.tolist(), image.predictions["boxes"])
            box_regions += _rows(image.image_id, in_boxes)
        images.append(
            {
                "image_id": image.image_id,
                "height": prediction.masks.height,
                "width": prediction.masks.width,
                "proposals": len(prediction.masks),
                "problem": image.problem,
            }
        )
    tables = about_objects.tables() if about_objects else {}
    if true_boxes:
        tables[BOX_REGIONS] = pa.Table.from_pylist(box_regions, schemas.TRUE_REGIONS)
    return tables | {
        "confusion": _confusion_table(counts),
        "class_pixels": pa.concat_tables(class_pixels),
        "regions": pa.Table.from_pylist(regions, schemas.TRUE_REGIONS),
        LABEL_MAPS: pa.Table.from_pylist(kept_maps, schemas.LABEL_MAPS),
        "images": pa.Table.from_pylist(images, schemas.EVALUATED_IMAGES),
    }


def class_pixels_table(branch: str, image_id: str, pixels: ClassPixels) -> pa.Table:
    """Rows of `schemas.CLASS_PIXELS`: the classes of one image that are there or predicted."""
    [labels] = np.nonzero(pixels.labelled + pixels.predicted)
    columns = {"branch": [branch] * len(labels), "image_id": [image_id] * len(labels), "label": labels.astype(np.int32)}
    columns |= {name: getattr(pixels, name)[labels] for name in ("correct", "predicted", "labelled")}
    return pa.table(columns, schema=schemas.CLASS_PIXELS)


def _rows(image_id: str, regions: list[TrueRegion]) -> list[dict]:
    return [{"image_id": image_id, **asdict(region)} for region in regions]


def _confusion_table(counts: dict[str, ConfusionMatrix]) -> pa.Table:
    """The cells that are not 0."""
    tables = [schemas.CONFUSION.empty_table()]
    for branch, matrix in counts.items():
        labels, predicted = np.nonzero(matrix.counts)
        columns = {
            "branch": [branch] * len(labels),
            "label": labels.astype(np.int32),
            "predicted": pa.array(predicted.astype(np.int32), mask=predicted == matrix.num_classes),
            "pixels": matrix.counts[labels, predicted],
        }
        tables.append(pa.table(columns, schema=schemas.CONFUSION))
    return pa.concat_tables(tables)
