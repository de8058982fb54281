"""What an evaluation comes to: the tables of all chunks together."""

import json
from dataclasses import asdict, dataclass, fields
from functools import partial

import numpy as np
import pyarrow as pa

import schemas
from pipeline import storage
from pipeline.errors import UserError
from pipeline.evaluation.branches import BRANCHES
from pipeline.evaluation.chunk import TABLES, chunk_uri
from pipeline.evaluation.confusion import ConfusionMatrix, Scores
from pipeline.evaluation.datasets import IGNORE, SegmentationDataset
from pipeline.storage.in_threads import in_threads

CLASSES, RESULT = "classes.parquet", "result.json"
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

    @property
    def scores(self) -> dict[str, Scores]:
        """By branch."""
        return {branch: matrix.result() for branch, matrix in self.matrices.items()}


def read_evaluation(output: str, chunks: int, classes: int) -> Evaluation:
    """The evaluation in an output directory, whose chunks are all there.

    Raises:
        UserError: a table of a chunk is damaged or gone.
        OSError: storage cannot be read.
    """
    tables = {}
    for name, schema in (
        ("confusion", schemas.CONFUSION),
        ("regions", schemas.TRUE_REGIONS),
        ("images", schemas.EVALUATED_IMAGES),
    ):
        tables[name] = pa.concat_tables(in_threads(partial(_read_chunk, output, name, schema), range(chunks)))
    counts: dict[str, np.ndarray] = {}
    branch, label, predicted, pixels = (tables["confusion"][name] for name in schemas.CONFUSION.names)
    branch, label, pixels = np.array(branch.to_pylist()), label.to_numpy(), pixels.to_numpy()
    predicted = predicted.fill_null(classes).to_numpy()
    for name in BRANCHES:
        chosen = branch == name
        if chosen.any():
            counts[name] = np.zeros((classes, classes + 1), np.int64)
            np.add.at(counts[name], (label[chosen], predicted[chosen]), pixels[chosen])
    return Evaluation(
        {name: ConfusionMatrix.from_counts(found, IGNORE) for name, found in counts.items()},
        tables["regions"].sort_by([("image_id", "ascending"), ("label", "ascending")]),
        tables["images"].sort_by("image_id"),
    )


def _read_chunk(output: str, name: str, schema: pa.Schema, chunk: int) -> pa.Table:
    uri = chunk_uri(output, name, chunk)
    try:
        table = storage.read_table(uri)
        table.validate(full=True)
        return table.select(schema.names).cast(schema)
    except (FileNotFoundError, KeyError, ValueError, pa.ArrowException) as error:
        # The table of images, written last, says that a chunk is done.
        raise UserError(
            f"{uri} is damaged or gone ({str(error)[:300]}); delete {chunk_uri(output, TABLES[-1], chunk)}, and the "
            "same command evaluates the images of this chunk again"
        ) from error


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
    **files: str,
) -> dict:
    """Write `classes.parquet` and, last, `result.json`, which says that the evaluation is complete.

    Args:
        bank: what is known of the bank that was asked, see `bank_leakage`.
        files: what identifies the content of the data set's files, beside its identity.

    Returns:
        the content of `result.json`.
    """
    scores = evaluation.scores
    storage.write_table(_class_table(evaluation, scores, dataset), storage.join(output, CLASSES))
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
        "region_accuracy": {
            name: _number(value) for name, value in asdict(region_accuracy(evaluation.regions)).items()
        },
    }
    if bank is not None:
        result["bank"] = bank
    content = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
    storage.write_bytes(storage.join(output, RESULT), content.encode())
    return result


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
            and all(_is_number(result["region_accuracy"][field.name]) for field in fields(RegionAccuracy))
            and result["scores"].keys() <= set(BRANCHES)
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


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float)


def _class_table(evaluation: Evaluation, scores: dict[str, Scores], dataset: SegmentationDataset) -> pa.Table:
    rows = []
    for branch, matrix in evaluation.matrices.items():
        pixels, predicted = matrix.counts.sum(axis=1), matrix.counts[:, :-1].sum(axis=0)
        for label, names in enumerate(dataset.classes):
            rows.append(
                {
                    "branch": branch,
                    "label": label,
                    "name": names[0],
                    "pixels": pixels[label],
                    "predicted_pixels": predicted[label],
                    "iou": _number(scores[branch].iou[label]),
                    "accuracy": _number(scores[branch].acc[label]),
                }
            )
    return pa.Table.from_pylist(rows, schemas.CLASS_SCORES)


def _number(value: float) -> float | None:
    """JSON and Parquet have a null for what is no number."""
    return None if np.isnan(value) else value
