"""What a chunk of images says of objects, as tables from which PQ and AP are computed exactly."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

import schemas
from pipeline.evaluation.datasets import LabelledImage
from pipeline.evaluation.datasets.objects import ObjectClasses, TrueInstances, TrueSegments
from pipeline.evaluation.instance_matching import SIZES, match_instances, objects_of_sizes, overlaps
from pipeline.evaluation.object_branches import (
    TrueMasks,
    overlaps_with,
    probabilities_by_branch,
    select,
    true_probabilities,
)
from pipeline.evaluation.panoptic_quality import count_segments
from pipeline.segmentation import Prediction, SegmentationConfig
from pipeline.segmentation.objects import class_probabilities, instances, mask_qualities, panoptic_segments

OBJECT_TABLES = {
    "objects": schemas.TRUE_OBJECTS,
    "panoptic": schemas.PANOPTIC_COUNTS,
    "detections": schemas.DETECTIONS,
}
"""Folders of these tables in an output directory, and what is in them."""


class ObjectTables:
    """Adds up images."""

    def __init__(self, objects: ObjectClasses, classes: int, config: SegmentationConfig) -> None:
        self._objects, self._classes, self._config = objects, classes, config
        self._most = config.max_instances or objects.most_in_image
        self._parts: dict[str, list[pa.Table]] = {
            name: [schema.empty_table()] for name, schema in OBJECT_TABLES.items()
        }

    def tables(self) -> dict[str, pa.Table]:
        """The tables of all images so far, by folder."""
        return {name: pa.concat_tables(parts) for name, parts in self._parts.items()}

    def add(
        self,
        image_id: str,
        sample: LabelledImage,
        proposed: Prediction,
        truth: TrueMasks,
        on_truth: Prediction,
        without: tuple[str, ...],
    ) -> None:
        """Count the objects of an image.

        Args:
            proposed: what is predicted of the proposals.
            on_truth: what is predicted of the true masks.
            without: further branches in which nothing was found, since the image has no proposals.
        """
        weight = self._config.weight
        nothing_QC = np.zeros((len(proposed.masks), self._classes + 1), np.float32)
        probabilities = probabilities_by_branch(proposed, weight) | dict.fromkeys(without, nothing_QC)
        true_QC = class_probabilities(on_truth, 1.0)
        self._add_truth(image_id, sample)
        if sample.segments is not None:
            of_truth = truth.masks.select(truth.of_segments)
            named_QC = true_probabilities(overlaps_with(proposed.masks, of_truth), truth.segment_labels, self._classes)
            exact = select(on_truth, truth.of_segments)
            for branch, each_QC in (probabilities | {"oracle": named_QC}).items():
                self._add_segments(branch, image_id, sample.segments, proposed, each_QC)
            self._add_segments("true_masks", image_id, sample.segments, exact, true_QC[truth.of_segments])
        if sample.instances is not None:
            qualities_Q = mask_qualities(proposed, self._config.mask_threshold)
            overlaps_QI = overlaps(proposed.masks, sample.instances)
            real_I = ~sample.instances.crowd
            named_QC = true_probabilities(overlaps_QI[:, real_I], sample.instances.labels[real_I], self._classes)
            areas_Q = proposed.masks.areas
            for branch, each_QC in probabilities.items():
                self._add_detections(branch, image_id, sample.instances, each_QC, qualities_Q, areas_Q, overlaps_QI)
            true_masks = truth.masks.select(truth.of_instances)
            for branch, each_QC, masks, overlaps_XI in (
                ("oracle", named_QC, proposed.masks, overlaps_QI),
                ("true_masks", true_QC[truth.of_instances], true_masks, overlaps(true_masks, sample.instances)),
            ):
                whole_Q = np.ones(len(masks), np.float32)
                self._add_detections(branch, image_id, sample.instances, each_QC, whole_Q, masks.areas, overlaps_XI)

    def _add_segments(
        self, branch: str, image_id: str, truth: TrueSegments, prediction: Prediction, probabilities_QC: np.ndarray
    ) -> None:
        # An IoU is no probability that a threshold could be for.
        config = replace(self._config, object_threshold=0.0) if branch == "oracle" else self._config
        found = panoptic_segments(prediction, probabilities_QC, self._objects.things, config)
        counts = count_segments(truth, found, self._classes)
        labels = np.flatnonzero(counts.tp + counts.fp + counts.fn)
        columns = {"label": labels} | {name: getattr(counts, name)[labels] for name in ("iou", "tp", "fp", "fn")}
        self._append("panoptic", {"branch": [branch] * len(labels), "image_id": [image_id] * len(labels)} | columns)

    def _add_detections(
        self,
        branch: str,
        image_id: str,
        truth: TrueInstances,
        probabilities_QC: np.ndarray,
        qualities_Q: np.ndarray,
        areas_Q: np.ndarray,
        overlaps_QI: np.ndarray,
    ) -> None:
        found = instances(probabilities_QC, qualities_Q, self._objects.things, self._most)
        matched = match_instances(found, areas_Q, overlaps_QI, truth, self._objects.most_of_class)
        count = len(matched.labels)
        self._append(
            "detections",
            {
                "branch": [branch] * count,
                "image_id": [image_id] * count,
                "label": matched.labels,
                "score": matched.scores,
                "matched": _lists(matched.matched),
                "ignored": _lists(matched.ignored),
            },
        )

    def _add_truth(self, image_id: str, sample: LabelledImage) -> None:
        def count(labels: np.ndarray, among: np.ndarray) -> np.ndarray:
            return np.bincount(labels[among], minlength=self._classes)

        columns = {name: np.zeros(self._classes, np.int64) for name in schemas.TRUE_OBJECTS.names[2:]}
        by_size_CA = np.zeros((self._classes, len(SIZES)), np.int64)
        if (segments := sample.segments) is not None:
            seen = np.bincount(segments.ids.ravel(), minlength=len(segments.labels) + 1)[1:] > 0
            columns["segments"] = count(segments.labels, ~segments.crowd)
            columns["crowd_segments"] = count(segments.labels, segments.crowd)
            columns["segments_without_pixels"] = count(segments.labels, ~seen & ~segments.crowd)
            columns["segments_of_other_area"] = count(segments.labels, segments.other_area)
        if (objects := sample.instances) is not None:
            for size, counted in enumerate(objects_of_sizes(objects)):
                by_size_CA[:, size] = count(objects.labels, counted)
            columns["crowd_instances"] = count(objects.labels, objects.crowd)
            columns["instances_without_pixels"] = count(objects.labels, objects.masks.areas == 0)
        columns.pop("instances")
        labels = np.flatnonzero(sum(columns.values()) + by_size_CA.sum(axis=1))
        chosen: dict = {name: values[labels] for name, values in columns.items()}
        chosen |= {"label": labels, "image_id": [image_id] * len(labels), "instances": _lists(by_size_CA[labels])}
        self._append("objects", chosen)

    def _append(self, name: str, columns: dict) -> None:
        schema = OBJECT_TABLES[name]
        arrays = [pa.array(columns[field.name], field.type) for field in schema]
        self._parts[name].append(pa.table(arrays, schema=schema))


def _lists(values_N4: np.ndarray) -> pa.Array:
    kind = pa.uint16() if values_N4.dtype == np.uint16 else pa.int32()
    return pa.FixedSizeListArray.from_arrays(pa.array(values_N4.ravel(), kind), len(SIZES))
