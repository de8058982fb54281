"""Mined pairs against annotated objects: precision by score."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_manifest
from pipeline.images import ImageProblem
from pipeline.proposals.ground_truth import GroundTruth
from pipeline.quality import Judgement, judge_pairs

_COLUMNS = ["image_id", "image_width", "image_height", "noun", "mask_rle", "clip_score"]
_MOST = 10_000
"""Pairs looked at; of more, those of random shards. The share of right ones is then known to about 1 %."""


@dataclass(frozen=True)
class Precision:
    """How often pairs with a score of at least a threshold are right; T thresholds."""

    pairs: int
    """Looked at."""
    judged: np.ndarray
    """int64 [T]: of these, pairs that have the score, and a noun that names an object of their image."""
    correct: np.ndarray
    """float64 [T]: share of the judged pairs that are right; nan without any."""
    chance: np.ndarray
    """float64 [T]: the same if each took a random object of its image."""


def judge(rows: Iterable[dict], truth: GroundTruth) -> list[Judgement]:
    """Judge rows of manifests, sorted by image; images that the annotations do not fit are left out."""
    found: list[Judgement] = []
    for _, of_image in groupby(rows, key=lambda row: row["image_id"]):
        with suppress(ImageProblem):
            found += judge_pairs(of_image, truth)
    return found


def measure_precision(
    layout: Layout, shards: Sequence[int], truth: GroundTruth, thresholds: np.ndarray, seed: int
) -> Precision:
    """Precision against threshold."""
    pairs, judged = 0, []
    for shard in np.random.default_rng(seed).permutation(shards).tolist():
        rows = read_manifest(layout, shard, _COLUMNS).table.to_pylist()
        pairs += len(rows)
        judged += judge(rows, truth)
        if pairs >= _MOST:
            break
    judged.sort(key=lambda found: found.row["clip_score"])
    scores = np.array([found.row["clip_score"] for found in judged], np.float64)
    below = np.searchsorted(scores, thresholds)
    left = len(judged) - below

    def share(values: list[float]) -> np.ndarray:
        sums = np.append(np.cumsum(np.array(values, np.float64)[::-1])[::-1], 0.0)
        return np.where(left > 0, sums[below] / np.maximum(left, 1), np.nan)

    correct, chance = ([float(found.correct) for found in judged], [found.by_chance for found in judged])
    return Precision(pairs, left, share(correct), share(chance))
