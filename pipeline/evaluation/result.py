"""What an evaluation comes to: the tables of all chunks together."""

import json
from dataclasses import asdict, dataclass, fields

import numpy as np
import pyarrow as pa

import schemas
from pipeline import storage
from pipeline.errors import UserError
from pipeline.evaluation.branches import BRANCHES
from pipeline.evaluation.chunk import BOX_REGIONS
from pipeline.evaluation.chunk_tables import ChunkTables
from pipeline.evaluation.confusion import ConfusionMatrix, Scores
from pipeline.evaluation.datasets import IGNORE, SegmentationDataset, shown_names
from pipeline.evaluation.datasets.objects import ObjectClasses
from pipeline.evaluation.object_scores import ObjectEvaluation, object_score_table, objects_result, read_objects
from pipeline.evaluation.uncertainty.intervals import Interval, evaluation_intervals

CLASSES, OBJECT_CLASSES, RESULT = "classes.parquet", "object_classes.parquet", "result.json"
_SUMMED = [field.name for field in fields(Scores) if field.name not in ("iou", "acc")]


@dataclass(frozen=True)
class RegionAccuracy:
    """How often CLIP names a true region rightly: shares of the regions, 0..1; nan without any."""

    regions: int
    top1: float
    """Share of the regions whose class is the most similar one."""
    top5: float
    """Share whose class is among the five most similar."""
    mean_per_class: float
    """Mean over the classes of their top1."""


@dataclass(frozen=True)
class Evaluation:
    """Everything that was counted."""

    matrices: dict[str, ConfusionMatrix]
    """By branch, in the order of `BRANCHES`."""
    regions: pa.Table
    """As `schemas.TRUE_REGIONS`, sorted by image and class."""
    images: pa.Table
    """As `schemas.EVALUATED_IMAGES`, sorted by image."""
    tables: ChunkTables
    """What all of it is made of."""
    objects: ObjectEvaluation | None = None
    """None: the data set does not tell things apart."""
    box_regions: pa.Table | None = None
    """As `regions`, of objects in their boxes; None: they were not asked for."""

    @property
    def scores(self) -> dict[str, Scores]:
        """By branch."""
        return {branch: matrix.result() for branch, matrix in self.matrices.items()}


def read_evaluation(
    output: str, chunks: int, classes: int, objects: ObjectClasses | None = None, *, true_boxes: bool = False
) -> Evaluation:
    """The evaluation in an output directory, whose chunks are all there.

    Args:
        classes: how many the data set has.
        objects: what the data set says of them beside their names.
        true_boxes: whether CLIP has named objects in their boxes.

    Raises:
        UserError: a table of a chunk is damaged or gone.
        OSError: storage cannot be read.
    """
    tables = ChunkTables(output, chunks)
    counts: dict[str, np.ndarray] = {}
    branch, label, predicted, pixels = tables.read("confusion").select(schemas.CONFUSION.names)
    branch, label, pixels = np.array(branch.to_pylist()), label.to_numpy(), pixels.to_numpy()
    predicted = predicted.fill_null(classes).to_numpy()
    for name in BRANCHES:
        chosen = branch == name
        if chosen.any():
            counts[name] = np.zeros((classes, classes + 1), np.int64)
            np.add.at(counts[name], (label[chosen], predicted[chosen]), pixels[chosen])
    return Evaluation(
        {name: ConfusionMatrix.from_counts(found, IGNORE) for name, found in counts.items()},
        tables.read("regions").sort_by([("image_id", "ascending"), ("label", "ascending")]),
        tables.read("images").sort_by("image_id"),
        tables,
        read_objects(classes, objects, tables.read) if objects else None,
        tables.read(BOX_REGIONS) if true_boxes else None,
    )


def region_accuracy(regions: pa.Table) -> RegionAccuracy:
    """Accuracy over rows of `schemas.TRUE_REGIONS`."""
    ranks, labels = regions["rank"].to_numpy(), regions["label"].to_numpy()
    if not len(ranks):
        return RegionAccuracy(0, *[float("nan")] * 3)
    per_class = [float((ranks[labels == label] == 0).mean()) for label in np.unique(labels)]
    return RegionAccuracy(len(ranks), float((ranks == 0).mean()), float((ranks < 5).mean()), float(np.mean(per_class)))


def write_result(
    output: str,
    evaluation: Evaluation,
    dataset: SegmentationDataset,
    fingerprint: str,
    bank: dict | None = None,
    leaks: dict | None = None,
    **files: str,
) -> dict:
    """Write the tables of classes and, last, `result.json`, which says that the evaluation is complete.

    Args:
        bank: what is known of the bank that was asked, see `bank_leakage`.
        leaks: what is known of copies of the images in what the CLIP learnt from, see `training_leakage`.
        files: what identifies the content of the data set's files, beside its identity.

    Returns:
        the content of `result.json`.
    """
    scores, about_objects = evaluation.scores, None if evaluation.objects is None else dataset.objects
    problems = evaluation.images["problem"].drop_null()
    result = {
        "fingerprint": fingerprint,
        "dataset": dataset.identity | files,
        "images": len(evaluation.images),
        "images_without_proposals": evaluation.images["proposals"].to_pylist().count(0),
        "problems": {problem: problems.to_pylist().count(problem) for problem in sorted(set(problems.to_pylist()))},
        "classes": len(dataset.classes),
        "classes_present": max((int(np.isfinite(found.iou).sum()) for found in scores.values()), default=0),
        "scores": {
            branch: {name: _number(getattr(found, name)) for name in _SUMMED} for branch, found in scores.items()
        },
        "region_accuracy": _accuracy(evaluation.regions),
    }
    if evaluation.box_regions is not None:
        result["box_accuracy"] = _accuracy(evaluation.box_regions)
    if evaluation.objects is not None and about_objects is not None:
        result |= objects_result(evaluation.objects, about_objects, len(dataset.classes))
    if bank is not None:
        result["bank"] = bank
    if leaks:
        result["leakage"] = leaks
    ids = evaluation.images["image_id"].combine_chunks()
    found = evaluation_intervals(evaluation.tables, result, ids, len(dataset.classes), about_objects)
    if found is not None:
        result["intervals"] = found.result
    of_classes = {} if found is None else found.classes
    storage.write_table(_class_table(evaluation, scores, dataset, of_classes), storage.join(output, CLASSES))
    if evaluation.objects is not None and about_objects is not None:
        table = object_score_table(evaluation.objects, about_objects, dataset, of_classes)
        storage.write_table(table, storage.join(output, OBJECT_CLASSES))
    content = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
    storage.write_bytes(storage.join(output, RESULT), content.encode())
    return result


def _accuracy(regions: pa.Table) -> dict:
    return {name: _number(value) for name, value in asdict(region_accuracy(regions)).items()}


def read_result(output: str) -> dict:
    """What `write_result` has written.

    Raises:
        FileNotFoundError: the evaluation in this output directory is not complete.
        UserError: the file is damaged, or of something else.
        OSError: storage cannot be read.
    """
    uri = storage.join(output, RESULT)
    content = storage.read_bytes(uri)
    try:
        result = json.loads(content)
        whole = (
            isinstance(result["dataset"]["name"], str)
            and isinstance(result["images"], int)
            and all(_is_number(found[name]) for found in result["scores"].values() for name in _SUMMED)
            and all(
                _is_number(accuracy[field.name])
                for accuracy in (result["region_accuracy"], result.get("box_accuracy", result["region_accuracy"]))
                for field in fields(RegionAccuracy)
            )
            and result["scores"].keys() <= set(BRANCHES)
            and isinstance(intervals := result.get("intervals", {}), dict)
            and all(map(_are_ends, intervals.values()))
        )
    # ValueError: also of bytes that are no UTF-8, and of numbers with thousands of digits.
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise UserError(
            f"{uri} is damaged, or no result of an evaluation. If the evaluation is there, delete this file and run "
            "the same command again, which makes it of what is kept"
        )
    return result


def _are_ends(found: object) -> bool:
    """Whether this is a part of `intervals`: both ends, at any depth, or the numbers that say how they were made."""
    if isinstance(found, dict):
        return all(map(_are_ends, found.values()))
    return _is_number(found) or (isinstance(found, list) and len(found) == 2 and all(map(_is_number, found)))


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float)


def _class_table(
    evaluation: Evaluation,
    scores: dict[str, Scores],
    dataset: SegmentationDataset,
    intervals: dict[tuple[str, str], Interval],
) -> pa.Table:
    nothing = np.full((2, len(dataset.classes)), np.nan)
    rows = []
    for branch, matrix in evaluation.matrices.items():
        pixels, predicted = matrix.counts.sum(axis=1), matrix.counts[:, :-1].sum(axis=0)
        low, high = intervals.get((branch, "iou"), nothing)
        for label, name in enumerate(shown_names(dataset)):
            rows.append(
                {
                    "branch": branch,
                    "label": label,
                    "name": name,
                    "pixels": pixels[label],
                    "predicted_pixels": predicted[label],
                    "iou": _number(scores[branch].iou[label]),
                    "iou_low": _number(low[label]),
                    "iou_high": _number(high[label]),
                    "accuracy": _number(scores[branch].acc[label]),
                }
            )
    return pa.Table.from_pylist(rows, schemas.CLASS_SCORES)


def _number(value: float) -> float | None:
    """JSON and Parquet have a null for what is no number."""
    return None if np.isnan(value) else value
