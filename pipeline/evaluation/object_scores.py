"""PQ and AP of an evaluation, from the tables of its chunks.

Detections are held of one branch at a time, 24 bytes each: the number of images times `segmentation.max_instances` at
most, whatever the number of classes.

Shape suffixes: C classes, A ranges of areas, T thresholds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline.evaluation.average_precision import FoundInstances, InstanceScores, class_precisions, instance_scores
from pipeline.evaluation.branches import BRANCHES, NEED_CLASSES
from pipeline.evaluation.datasets import SegmentationDataset, shown_names
from pipeline.evaluation.datasets.objects import ObjectClasses
from pipeline.evaluation.instance_matching import SIZES
from pipeline.evaluation.panoptic_quality import (
    PanopticCounts,
    PanopticScores,
    panoptic_qualities,
    panoptic_scores,
)

ReadChunks = Callable[[str, Sequence[str] | None], pa.Table]
"""Reads the tables of a folder, of all chunks, in the order of the images; if some are named, only rows of these
branches."""


@dataclass(frozen=True)
class ObjectEvaluation:
    """PQ and AP; empty what the data set has nothing for."""

    panoptic: dict[str, PanopticCounts]
    """By branch, in the order of `BRANCHES`."""
    precisions: dict[str, np.ndarray]
    """By branch, AP of each class, float64 [C,A,T]."""
    truth: pa.Table
    """As `schemas.TRUE_OBJECTS`, summed over the images by `label`, without `image_id` and `instances`."""
    instances: np.ndarray
    """Objects that count for AP by class and size, int64 [C,A]."""


def read_objects(classes: int, objects: ObjectClasses, read: ReadChunks) -> ObjectEvaluation:
    """Everything that the chunks say of objects."""
    truth = read("objects", None)
    labels = truth["label"].to_numpy()
    by_size = truth["instances"].combine_chunks().flatten().to_numpy().reshape(-1, len(SIZES))
    instances_CA = np.zeros((classes, len(SIZES)), np.int64)
    np.add.at(instances_CA, labels, by_size)
    counted = [name for name in truth.column_names if name not in ("image_id", "label", "instances")]
    summed = {name: np.bincount(labels, truth[name].to_numpy(), minlength=classes).astype(np.int64) for name in counted}
    panoptic, precisions = {}, {}
    for branch in BRANCHES:
        always = branch not in NEED_CLASSES
        if objects.panoptic and (len(table := read("panoptic", [branch])) or always):
            panoptic[branch] = _panoptic_counts(table, classes)
        if objects.instances and (len(table := read("detections", [branch])) or always):
            precisions[branch] = class_precisions(found_instances(table)[0], instances_CA)
    totals = pa.table({"label": np.arange(classes)} | summed)
    return ObjectEvaluation(panoptic, precisions, totals, instances_CA)


def _panoptic_counts(table: pa.Table, classes: int) -> PanopticCounts:
    labels = table["label"].to_numpy()
    iou = np.bincount(labels, table["iou"].to_numpy(), minlength=classes)
    tp, fp, fn = (
        np.bincount(labels, table[name].to_numpy(), minlength=classes).astype(np.int64) for name in ("tp", "fp", "fn")
    )
    return PanopticCounts(iou, tp, fp, fn)


def found_instances(table: pa.Table) -> tuple[FoundInstances, np.ndarray]:
    """The detections of a branch, image after image as the evaluators sort them: ids that are numbers by number.

    Returns:
        the detections, and the row of the table that each is of, int64 [N].
    """
    images = pc.dictionary_encode(table["image_id"].combine_chunks())
    names = images.dictionary.to_pylist()
    places = np.empty(len(names), np.int64)
    places[sorted(range(len(names)), key=lambda index: _sorting(names[index]))] = np.arange(len(names))
    order = np.argsort(places[images.indices.to_numpy()], kind="stable")
    bits = (
        table[name].combine_chunks().flatten().to_numpy().reshape(-1, len(SIZES))[order]
        for name in ("matched", "ignored")
    )
    return FoundInstances(table["label"].to_numpy()[order], table["score"].to_numpy()[order], *bits), order


def _sorting(image_id: str) -> tuple[int, str]:
    return (int(image_id), "") if image_id.isascii() and image_id.isdigit() else (-1, image_id)


def objects_result(evaluation: ObjectEvaluation, objects: ObjectClasses, classes: int) -> dict:
    """What `result.json` says of objects: `panoptic` and `instances`, scores by branch, 0..1, null where there are
    none; and `objects`, counts of the truth.
    """
    kinds = objects.kinds(classes)
    result: dict = {}
    if objects.panoptic:
        result["panoptic"] = {
            branch: {kind: _known(panoptic_scores(counts, among)) for kind, among in kinds.items()}
            for branch, counts in evaluation.panoptic.items()
        }
    if objects.instances:
        result["instances"] = {
            branch: _known(instance_scores(precision_CAT, objects.frequencies))
            for branch, precision_CAT in evaluation.precisions.items()
        }
    totals = {
        name: int(pc.sum(evaluation.truth[name]).as_py() or 0)
        for name in evaluation.truth.column_names
        if name != "label"
    }
    return result | {"objects": {"instances": int(evaluation.instances[:, 0].sum())} | totals}


def _known(scores: PanopticScores | InstanceScores) -> dict:
    """Scores as JSON has them: null for what is no number, nothing for what the data set does not tell."""
    return {name: None if np.isnan(value) else value for name, value in asdict(scores).items() if value is not None}


def object_score_table(
    evaluation: ObjectEvaluation,
    objects: ObjectClasses,
    dataset: SegmentationDataset,
    intervals: Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]],
) -> pa.Table:
    """A row of `schemas.OBJECT_SCORES` for each branch and class.

    Args:
        intervals: of `pq` and `ap`, by branch and figure, as far as there are any.
    """
    classes = len(dataset.classes)
    nothing = np.full(classes, np.nan)
    tables = [schemas.OBJECT_SCORES.empty_table()]
    for branch in BRANCHES:
        counts, precision_CAT = evaluation.panoptic.get(branch), evaluation.precisions.get(branch)
        if counts is None and precision_CAT is None:
            continue
        pq, sq, rq = (nothing,) * 3 if counts is None else panoptic_qualities(counts)
        (pq_low, pq_high), (ap_low, ap_high) = (
            intervals.get((branch, figure), (nothing, nothing)) for figure in ("pq", "ap")
        )
        every_CT = np.full((classes, 1), np.nan) if precision_CAT is None else precision_CAT[:, 0]
        columns = {
            "branch": [branch] * classes,
            "label": np.arange(classes),
            "name": shown_names(dataset),
            "thing": [label in objects.things for label in range(classes)],
            "pq": pq,
            "pq_low": pq_low,
            "pq_high": pq_high,
            "sq": sq,
            "rq": rq,
            "segments": evaluation.truth["segments"].to_numpy(),
            "ap": every_CT.mean(axis=1),
            "ap_low": ap_low,
            "ap_high": ap_high,
            "ap50": every_CT[:, 0],
            "instances": evaluation.instances[:, 0],
            "frequency": objects.frequencies or [None] * classes,
        }
        arrays = [
            pa.array(columns[field.name], field.type, from_pandas=pa.types.is_floating(field.type))
            for field in schemas.OBJECT_SCORES
        ]
        tables.append(pa.table(arrays, schema=schemas.OBJECT_SCORES))
    return pa.concat_tables(tables)
