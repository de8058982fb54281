"""How much of a dataset is left at another threshold, from the candidates table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.dataset.checked_tables import read_columns
from pipeline.dataset.layout import Layout
from pipeline.report.dataset.reading import NounCodes
from pipeline.storage.in_threads import in_threads

QUANTITIES = ("clip_score", "noun_margin", "mask_margin", "mask_area")
_COLUMNS = ["image_id", "noun", "rank", "clip_score", "noun_margin", "mask_area"]
_STEPS = 200


@dataclass(frozen=True)
class Curve:
    """What is left at each of T thresholds: at the first everything, at the last nothing or the best."""

    column: str
    """Of the manifests and the candidates."""
    thresholds: np.ndarray
    """float64 [T], rising: evenly, by area in even ratios."""
    pairs: np.ndarray
    """int64 [T]: best masks of a noun whose value is not below the threshold, or which have none."""
    nouns: np.ndarray
    """int64 [T]: nouns that have such a pair."""
    images: np.ndarray
    """int64 [T]: images that have one."""


def read_curves(layout: Layout, shards: Sequence[int]) -> list[Curve]:
    """A curve for each quantity that has different values; 16 bytes a pair are held meanwhile.

    A margin that does not exist passes every threshold, as in mining.
    """
    codes = NounCodes()
    values: dict[str, list[np.ndarray]] = {column: [] for column in QUANTITIES}
    images: dict[str, list[np.ndarray]] = {column: [] for column in QUANTITIES}
    best = {column: np.zeros(0, np.float32) for column in QUANTITIES}
    uris = (layout.table("candidates", shard) for shard in shards)
    for table in in_threads(lambda uri: read_columns(uri, _COLUMNS), uris):
        if not len(table):
            continue
        first, quantities = _best_masks(table)
        noun = codes.of(table["noun"])[first]
        image = table["image_id"].combine_chunks().dictionary_encode().indices.to_numpy()[first]
        for column, found in quantities.items():
            values[column].append(found)
            best[column] = _grown(best[column], len(codes.nouns))
            np.maximum.at(best[column], noun, found)
            highest = np.full(image.max() + 1, -np.inf, np.float32)
            np.maximum.at(highest, image, found)
            images[column].append(highest)
    curves = []
    for column in QUANTITIES:
        found = np.concatenate([np.zeros(0, np.float32), *values[column]])
        thresholds = _thresholds(found, whole=column == "mask_area")
        if len(thresholds):
            per_image = np.concatenate(images[column])
            left = (_count(each, thresholds) for each in (found, best[column], per_image))
            curves.append(Curve(column, thresholds, *left))
    return curves


def _best_masks(table: pa.Table) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rows of the candidates of rank 0, and their values, float32; inf where there is none."""
    rank, score = table["rank"].to_numpy(), table["clip_score"].to_numpy()
    first = np.flatnonzero(rank == 0)
    # The rows of a noun follow one another, best first.
    following = np.append(rank, 0)[first + 1] == 1
    runner_up = np.append(score, 0.0)[first + 1]
    noun_margin = table["noun_margin"].to_numpy()[first]
    return first, {
        "clip_score": score[first],
        "noun_margin": np.where(np.isnan(noun_margin), np.inf, noun_margin).astype(np.float32),
        "mask_margin": np.where(following, score[first] - runner_up, np.inf).astype(np.float32),
        "mask_area": table["mask_area"].to_numpy()[first].astype(np.float32),
    }


def _thresholds(values: np.ndarray, whole: bool) -> np.ndarray:
    """From the lowest value to the highest, in numbers short enough to be written down; [] if all are the same."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not len(finite) or finite.min() == finite.max():
        return np.zeros(0)
    low, high = finite.min(), finite.max()
    if whole:
        return np.unique(np.round(np.geomspace(max(low, 1), high, _STEPS + 1)))
    scale = 10 ** max(4, int(np.ceil(np.log10(_STEPS / (high - low)))))
    steps = np.round(np.linspace(low, high, _STEPS + 1) * scale)
    steps[0] = np.floor(low * scale)
    return np.unique(steps) / scale


def _count(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    return len(values) - np.searchsorted(np.sort(values).astype(np.float64), thresholds)


def _grown(best: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([best, np.full(size - len(best), -np.inf, np.float32)])
