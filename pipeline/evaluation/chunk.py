"""A few images evaluated together: the unit of work, of retry and of resumption."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pyarrow as pa

import schemas
from pipeline import storage
from pipeline.evaluation.branches import TrueRegion, label_maps, true_masks, true_regions
from pipeline.evaluation.confusion import ConfusionMatrix
from pipeline.evaluation.datasets import IGNORE, LabelledImage, SegmentationDataset
from pipeline.evaluation.label_maps import LABEL_MAPS, label_map_row
from pipeline.images import ImageProblem
from pipeline.masks.masks import Masks
from pipeline.proposals import Proposals
from pipeline.proposals.proposer import Queries
from pipeline.segmentation import UNLABELLED, Prediction, Segmenter
from pipeline.segmentation.segmenter import ImageIdentity

TABLES = ("confusion", "regions", LABEL_MAPS, "images")
"""Folders of the tables of a chunk; the last one is written last, and its presence says that the chunk is done."""


def chunk_uri(output: str, table: str, chunk: int) -> str:
    """Where a table of a chunk lies."""
    return storage.join(output, table, f"{chunk:06d}.parquet")


@dataclass
class _Image:
    """An image whose regions are with CLIP: those of its proposals, and its true masks."""

    image_id: str
    sample: LabelledImage
    present: list[int]
    """The classes of the true masks."""
    problem: str | None
    """Why the backend could not use it."""
    predictions: dict[str, Prediction] = field(default_factory=dict)
    """What has come back, by what it is about: `proposals`, `truth`."""


def evaluate_chunk(
    dataset: SegmentationDataset, segmenter: Segmenter, image_ids: list[str], identities: Sequence[ImageIdentity] = ()
) -> dict[str, pa.Table]:
    """The tables of a chunk, by name.

    An image that the proposal backend cannot use is segmented without proposals, and its row says why.

    Args:
        identities: what identifies each image, for a bank that may hold regions of it; none: nothing is known.

    Raises:
        UserError: an image or its labels cannot be used, or CLIP's embeddings are not numbers.
    """
    counts: dict[str, ConfusionMatrix] = {}
    regions, kept_maps, images = [], [], []
    threshold = segmenter.config.mask_threshold
    identity_of = dict(zip(image_ids, identities, strict=True)) if identities else {}

    def read() -> Iterator[tuple[np.ndarray, str, tuple[str, LabelledImage]]]:
        for image_id in image_ids:
            sample = dataset.read(image_id)
            yield sample.image, image_id, (image_id, sample)

    def proposed() -> Iterator[tuple[np.ndarray, Proposals | Queries, float, tuple[_Image, str]]]:
        for (image_id, sample), pixels, found in segmenter.propose_each(read()):
            problem = None
            if isinstance(found, ImageProblem):
                found, problem = Proposals(Masks([], *sample.labels.shape), np.zeros(0, np.float32)), str(found)
            elif isinstance(found, Exception):
                raise found
            present, truth = true_masks(sample.labels)
            image = _Image(image_id, sample, present, problem)
            yield pixels, found, threshold, (image, "proposals")
            yield pixels, truth, threshold, (image, "truth")

    def image_of(companion: tuple[_Image, str]) -> ImageIdentity:
        return identity_of.get(companion[0].image_id, ())

    for (image, about), result in segmenter.classify(proposed(), image_of):
        image.predictions[about] = result
        if len(image.predictions) < 2:
            continue
        prediction, on_truth = image.predictions["proposals"], image.predictions["truth"]
        labels = image.sample.labels
        maps = label_maps(prediction, labels, segmenter.config.weight)
        if image.problem and segmenter.classifies:
            # There are no class logits of this image, and yet it counts in every way.
            nothing = np.full(labels.shape, UNLABELLED, np.uint16)
            maps |= {"proposals": nothing, "fused": nothing}
        maps["true_masks"] = on_truth.label_map(1.0)
        for branch, predicted in maps.items():
            counts.setdefault(branch, ConfusionMatrix(len(dataset.classes), IGNORE)).update(predicted, labels)
        kept_maps.append(label_map_row(image.image_id, maps, labels, len(dataset.classes)))
        found: list[TrueRegion] = true_regions(image.present, on_truth)
        regions += [{"image_id": image.image_id, **asdict(region)} for region in found]
        images.append(
            {
                "image_id": image.image_id,
                "height": prediction.masks.height,
                "width": prediction.masks.width,
                "proposals": len(prediction.masks),
                "problem": image.problem,
            }
        )
    return {
        "confusion": _confusion_table(counts),
        "regions": pa.Table.from_pylist(regions, schemas.TRUE_REGIONS),
        LABEL_MAPS: pa.Table.from_pylist(kept_maps, schemas.LABEL_MAPS),
        "images": pa.Table.from_pylist(images, schemas.EVALUATED_IMAGES),
    }


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
