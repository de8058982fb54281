"""Where answers come from: a file of labels, or COCO annotations of the same images."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from pipeline.dataset.opening import MinedDataset
from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.proposals.ground_truth import GroundTruth, all_annotated
from pipeline.quality.answers import Answers, reach_all
from pipeline.quality.judgements import judge_pairs
from pipeline.quality.labels import check_labels, read_labels

_JUDGED = ["image_id", "image_width", "image_height", "noun", "mask_rle"]


@dataclass(frozen=True)
class Source:
    """Answers, and what made them."""

    answers: Answers
    kind: str
    """labels or annotations."""
    uri: str
    sha256: str
    """Of the file."""
    remarks: tuple[str, ...]
    """What could not be used, and what else to know."""


def read_source(dataset: MinedDataset, labels: str | None, annotations: str | None) -> Source:
    """The answers in one of the two.

    Raises:
        UserError: none or both are named, or what is named does not belong to the dataset or answers nothing.
        OSError: storage cannot be read.
    """
    if labels and annotations:
        raise UserError("--labels and --annotations exclude each other: give one of them")
    if labels:
        return _from_labels(dataset, labels)
    if annotations:
        return _from_annotations(dataset, annotations)
    raise UserError(
        f"--labels: give labels of some pairs (python -m jobs.inspect report {dataset.layout.uri} --label 200 makes a "
        "page to label them on), or --annotations: COCO annotations of the images"
    )


def _from_labels(dataset: MinedDataset, uri: str) -> Source:
    labels = read_labels(uri)
    rows = check_labels(labels, dataset)
    if not len(rows):
        raise UserError(f"{uri}: it holds no label; label some pairs on the page, and save them")
    remarks = list(labels.remarks)
    stratum = np.array([label.stratum for label in labels.labels], np.int64)
    pairs, moved = reach_all(stratum, np.array([part.pairs for part in labels.strata], np.float64))
    if moved:
        remarks.append(
            f"{moved} pairs are in strata without any label; they count to the nearest stratum that has some, so label "
            "more for a figure without that guess"
        )
    given = np.array([label.answer for label in labels.labels])
    answers = Answers(rows, given == "right", given != "unclear", stratum, pairs, drawn=True)
    if unclear := int((~answers.clear).sum()):
        remarks.append(f"{unclear} of {len(rows)} labels are unclear; they are left out of every precision")
    return Source(answers, "labels", uri, labels.sha256, tuple(remarks))


def _from_annotations(dataset: MinedDataset, uri: str) -> Source:
    truth = all_annotated(uri)
    rows, right, pairs = [], [], 0
    for manifest in dataset.manifests(_JUDGED):
        for row, correct in _judge(manifest.table.to_pylist(), truth):
            rows.append(pairs + row)
            right.append(correct)
        pairs += len(manifest.table)
    if not rows:
        raise UserError(f"{uri}: no noun of the {pairs} pairs names an object that it has in the same image")
    remarks = (
        f"{len(rows)} of {pairs} pairs could be judged: their nouns name an annotated object of their image; the other "
        f"{pairs - len(rows)} are in no precision here",
        "annotations are no random draw from all pairs: the intervals say how much pairs that come the same way would "
        "differ",
    )
    count = len(rows)
    answers = Answers(
        np.array(rows, np.int64),
        np.array(right, bool),
        np.ones(count, bool),
        np.zeros(count, np.int64),
        np.array([count], np.float64),
        drawn=False,
    )
    return Source(answers, "annotations", uri, str(truth.identity["annotations_sha256"]), remarks)


def _judge(rows: list[dict], truth: GroundTruth) -> Iterator[tuple[int, bool]]:
    """Row and whether it is right, of those that can be judged; images that the annotations do not fit are left out."""
    numbered = [{**row, "row": number} for number, row in enumerate(rows)]
    for _, of_image in groupby(numbered, key=lambda row: row["image_id"]):
        with suppress(ImageProblem):
            for found in judge_pairs(of_image, truth):
                yield found.row["row"], found.correct
