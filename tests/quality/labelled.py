"""Labels of a made dataset, without a person."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.dataset.opening import open_mined_dataset
from pipeline.quality.columns import PairColumns, read_columns
from pipeline.quality.drawing import DrawingColumns, draw_sample


def write_labels(
    folder: Path, to: Path, count: int, answer: Callable[[int], str], *, seed: int = 0, labelled: int | None = None
) -> dict:
    """Draw a sample of a dataset and label it. Returns the document.

    Args:
        answer: what is said of the pair at this row.
        labelled: so many of the sample, from the first; None: all.
    """
    dataset = open_mined_dataset(str(folder))
    pairs = read_columns(dataset)
    sample = draw_sample(DrawingColumns(pairs.score, pairs.noun, pairs.noun_margin), count, seed)
    rows = list(zip(sample.rows.tolist(), sample.stratum.tolist(), strict=True))[:labelled]
    about = {"uri": str(folder), "fingerprint": dataset.description["fingerprint"]}
    document = {
        "format": "ovseg-labels",
        "version": 1,
        "dataset": {**about, "manifests_sha256": pairs.manifests_sha256},
        "sample": {
            "seed": seed,
            "strata": [{"name": part.name, "pairs": part.pairs, "drawn": part.drawn} for part in sample.strata],
        },
        "labels": [
            {
                "key": pairs.keys[row].as_py(),
                "noun": pairs.nouns[pairs.noun[row]],
                "stratum": stratum,
                "answer": answer(row),
            }
            for row, stratum in rows
        ],
    }
    to.write_text(json.dumps(document))
    return document


def made_truth(pairs: PairColumns) -> np.ndarray:
    """bool [P]: pairs that count as right: mostly those with high scores and margins."""
    margin = np.nan_to_num(pairs.noun_margin)
    chance = np.random.default_rng(3).normal(size=len(pairs))
    return pairs.score + margin + 0.2 * chance > np.median(pairs.score + margin)
