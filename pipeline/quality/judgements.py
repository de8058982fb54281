"""How often a mined region shows what its noun names, against annotated objects."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.masks.masks import Masks
from pipeline.proposals.ground_truth import GroundTruth


@dataclass(frozen=True)
class PairPrecision:
    """Precision of mined pairs; only pairs whose noun names an annotated object of the image count."""

    pairs: int
    """All pairs."""
    judged: int
    """Pairs whose noun is the category of an object of the image."""
    correct: int
    """Judged pairs whose mask overlaps most (IoU) with an object of that category."""
    by_chance: float
    """Expected correct pairs if every judged noun took a random object of its image."""

    @property
    def precision(self) -> float:
        """Share of the judged pairs that are correct; nan without any."""
        return self.correct / self.judged if self.judged else float("nan")

    @property
    def chance(self) -> float:
        """The precision of random objects."""
        return self.by_chance / self.judged if self.judged else float("nan")


@dataclass(frozen=True)
class Judgement:
    """Whether a mined pair is right."""

    row: dict
    """Its row of the manifest."""
    correct: bool
    """The annotated object that its mask overlaps most (IoU) is of the category that its noun names."""
    by_chance: float
    """Probability that a random object of the image is."""


def measure_pairs(rows: Iterable[dict], truth: GroundTruth) -> PairPrecision:
    """Judge manifest rows by annotated objects; arguments as of `judge_pairs`."""
    rows = list(rows)
    judged = list(judge_pairs(rows, truth))
    correct, by_chance = sum(found.correct for found in judged), sum(found.by_chance for found in judged)
    return PairPrecision(len(rows), len(judged), correct, by_chance)


def judge_pairs(rows: Iterable[dict], truth: GroundTruth) -> Iterator[Judgement]:
    """Judge the rows whose noun is the category of an annotated object of their image; the others are left out.

    Args:
        rows: rows of manifests (image_id, image_width, image_height, noun, mask_rle).
        truth: the annotations of the same images.

    Raises:
        ImageProblem: the annotations of an image do not fit it.
    """
    per_image: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        per_image[row["image_id"]].append(row)
    for image_id, found in per_image.items():
        categories = truth.categories(image_id)
        named = [row for row in found if row["noun"] in categories]
        if not named:
            continue
        height, width = found[0]["image_height"], found[0]["image_width"]
        # Only the size of the image matters to ground truth.
        [objects] = truth.propose([np.zeros((height, width, 3), np.uint8)], [image_id])
        overlaps = Masks([row["mask_rle"].encode() for row in named], height, width).iou(objects.masks)
        for row, overlap in zip(named, overlaps, strict=True):
            correct = bool(overlap.max() > 0 and categories[int(overlap.argmax())] == row["noun"])
            yield Judgement(row, correct, categories.count(row["noun"]) / len(categories))
