"""Labels that people gave to mined pairs, as the labelling page saves them.

They are a JSON file:

    {"format": "ovseg-labels", "version": 1,
     "dataset": {"uri": "./mined", "fingerprint": "…", "manifests_sha256": "…"},
     "sample": {"seed": 0, "strata": [{"name": "…", "pairs": 812, "drawn": 14}]},
     "labels": [{"key": "000012-00034-000", "noun": "dog", "stratum": 0, "answer": "right"}]}

`labels` may hold a part of the sample only. The page shows the sample in an order that is random within each stratum
(`pipeline.quality.drawing`), so what was labelled is a random subsample of each stratum, and a label stands for
`pairs / labelled` pairs of its stratum; labels that are unclear are left out of that ratio.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

from pipeline import storage
from pipeline.dataset.opening import MinedDataset
from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.quality.label_document import AGAIN, ANSWERS, Answer, Label, Labels, Stratum, parse_labels

__all__ = ["ANSWERS", "Answer", "Label", "Labels", "Stratum", "check_labels", "digest_manifests", "read_labels"]

_MOST_BYTES = 2**26


def read_labels(uri: str) -> Labels:
    """Read the labels that a page saved; any fsspec URI.

    Raises:
        UserError: the file is not there, is too large, holds something else than labels, is of another version, or
            contradicts itself; says where.
        OSError: storage cannot be read.
    """
    try:
        data = storage.read_at_most(uri, _MOST_BYTES)
    except FileNotFoundError as error:
        raise UserError(f"{uri}: there is no such file of labels; save them on the labelling page") from error
    except storage.TooManyBytes as error:
        raise UserError(f"{uri}: it has {error}, so it holds no labels; {AGAIN}") from error
    return parse_labels(data, uri)


def check_labels(labels: Labels, dataset: MinedDataset) -> np.ndarray:
    """Check that labels belong to a dataset as it is, and find their pairs.

    Returns:
        int64 [L]: by label its row among those of all manifests, in the order of the shards.

    Raises:
        UserError: they are of another dataset, the dataset was mined again or has grown since, pairs are gone or have
            another noun, or the strata are not all of the dataset.
        OSError: storage cannot be read.
    """
    if labels.fingerprint != dataset.description["fingerprint"]:
        raise UserError(
            f"{labels.uri}: these labels are of another dataset than {dataset.layout.uri}: it had the fingerprint "
            f"{labels.fingerprint[:16]}… and lay at {labels.dataset_uri[:200]!r}, this one has "
            f"{dataset.description['fingerprint'][:16]}…; give the labels of this one, or label it"
        )
    wanted = {label.key: number for number, label in enumerate(labels.labels)}
    rows, nouns = np.full(len(wanted), -1, np.int64), [""] * len(wanted)
    pairs, digests = 0, []
    for manifest in dataset.manifests(["key", "noun"]):
        digests.append(str(manifest.sha256))
        for row, key in enumerate(manifest.table["key"].to_pylist()):
            if (number := wanted.get(key)) is not None:
                rows[number], nouns[number] = pairs + row, manifest.table["noun"][row].as_py()
        pairs += len(manifest.table)
    _check_same(labels, dataset, digests, rows)
    drawn_of = sum(stratum.pairs for stratum in labels.strata)
    if drawn_of != pairs:
        raise UserError(f"{labels.uri}: its strata hold {drawn_of} pairs, and the dataset has {pairs}; {AGAIN}")
    other = [
        f"{label.key} is of {noun[:80]!r}, not {label.noun[:80]!r}"
        for label, noun in zip(labels.labels, nouns, strict=True)
        if label.noun != noun
    ]
    if other:
        raise UserError(f"{labels.uri}: {first_of(other, 3, separator='; ')}; {AGAIN}")
    return rows


def digest_manifests(sha256s: Iterable[str]) -> str:
    """`Labels.manifests_sha256` of the hexadecimal SHA-256 of manifests in the order of their shards."""
    return hashlib.sha256("".join(sha256s).encode()).hexdigest()


def _check_same(labels: Labels, dataset: MinedDataset, digests: list[str], rows: np.ndarray) -> None:
    gone = [label.key for label, row in zip(labels.labels, rows.tolist(), strict=True) if row < 0]
    same = labels.manifests_sha256 == digest_manifests(digests)
    if same and not gone:
        return
    found = f"{len(gone)} of the {len(rows)} labelled pairs are not in it: {first_of(gone, 3)}" if gone else ""
    if same:
        raise UserError(f"{labels.uri}: {dataset.layout.uri} is the dataset of these labels, but {found}; {AGAIN}")
    raise UserError(
        f"{labels.uri}: {dataset.layout.uri} is not as it was when the sample was drawn (it has {len(digests)} shards "
        f"of other content, or more of them){f'; {found}' if found else ''}. Draw a sample of what it is now and label "
        f"that: python -m jobs.inspect report {dataset.layout.uri} --label 200"
    )
