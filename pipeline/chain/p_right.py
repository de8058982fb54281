"""`p_right` of the pairs of a later round, learned from the labels of round 0 that still hold there."""

import hashlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from pipeline.dataset.manifests import read_whole_manifest
from pipeline.dataset.opening import MinedDataset
from pipeline.quality.answers import Answers
from pipeline.quality.columns import read_columns
from pipeline.quality.fitting import fit
from pipeline.quality.labels import Label, Labels
from pipeline.quality.tables import keep_or_write


def write_carried_quality(dataset: MinedDataset, labels: Labels, known: Mapping[str, Label]) -> dict:
    """Write the quality tables of a later round; tables that are there already, the same, stay.

    Args:
        labels: of round 0.
        known: by key of a pair of this dataset the label that holds for it.

    Returns:
        how many `pairs` and `labels` there are.

    Raises:
        UserError: the labels that are left are too few for a model.
        OSError: storage failed.
    """
    pairs = read_columns(dataset)
    keys = sorted(known)
    place_P = pairs.rows_of(pa.array(keys, pa.string()))
    rows_L = np.flatnonzero(place_P >= 0)
    answers = [known[keys[place]].answer for place in place_P[rows_L]]
    fitted = fit(
        pairs,
        [],
        Answers(
            rows_L,
            right=np.array([answer == "right" for answer in answers]),
            clear=np.ones(len(rows_L), bool),
            # The model takes all labels alike, whatever part of the pairs they were drawn from.
            stratum=np.zeros(len(rows_L), np.int64),
            stratum_pairs=np.array([len(pairs)], np.float64),
            drawn=True,
        ),
    )
    digest = hashlib.sha256("".join(f"{key} {known[key].answer}\n" for key in keys).encode()).hexdigest()
    about = {
        "answers": "labels of round 0 whose region is the same",
        "answers_sha256": digest,
        "labels_sha256": labels.sha256,
        "dataset_fingerprint": dataset.description["fingerprint"],
        "manifests_sha256": pairs.manifests_sha256,
        "fit": fitted.description(),
    }
    for index, shard in enumerate(pairs.shards):
        manifest = read_whole_manifest(dataset.layout, shard, ["key"])
        keep_or_write(dataset, manifest, fitted.p_right[pairs.starts[index] : pairs.starts[index + 1]], about)
    return {"pairs": len(pairs), "labels": len(rows_L)}
