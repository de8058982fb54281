"""p_right of every pair, learned from answers and written beside the dataset; and what it is worth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline import storage
from pipeline.configuration.overwriting import check_no_links
from pipeline.dataset.manifests import read_whole_manifest
from pipeline.dataset.opening import MinedDataset, open_mined_dataset
from pipeline.errors import IncompleteError, UserError
from pipeline.quality.columns import PairColumns, read_columns
from pipeline.quality.estimates import Estimate, estimate
from pipeline.quality.fitting import Fit, fit
from pipeline.quality.model import log_loss
from pipeline.quality.noun_groups import noun_groups
from pipeline.quality.opinions import Opinion, read_opinions
from pipeline.quality.precision import opinion_remarks
from pipeline.quality.sources import Source, read_source
from pipeline.quality.tables import keep_or_write
from pipeline.storage.in_threads import in_threads

SHARES = (0.8, 0.6, 0.4, 0.25)
_BINS = 5
_MOST_BYTES = 2**24


@dataclass(frozen=True)
class Chosen:
    """The best pairs by a key."""

    key: str
    share: float
    """Of all pairs."""
    precision: Estimate
    """By models that have not seen the labels."""
    nouns: int
    """That still have a pair."""
    tail: float
    """Share of the pairs of tail nouns that is kept."""
    things: float | None
    """Share of the pairs of the nouns in `things` that is kept; None: no things are named."""


@dataclass(frozen=True)
class Bin:
    """Pairs of similar p_right."""

    predicted: float
    """Mean p_right out of fold."""
    precision: Estimate


@dataclass(frozen=True)
class QualityReport:
    """All figures of `jobs.inspect quality`."""

    output: str
    source: Source
    remarks: tuple[str, ...]
    fit: Fit
    nouns: int
    written: int
    """Tables; the others were there already, the same."""
    shards: int
    chosen: tuple[Chosen, ...]
    bins: tuple[Bin, ...]
    brier: float
    """Mean square of p_right less 1 where it is right, else 0; out of fold."""
    brier_constant: float
    """The same for the overall precision in place of p_right."""
    log_loss: float
    """Out of fold, in nats."""
    keeps: tuple[tuple[float, float], ...]
    """Share of all pairs, and the p_right at or above which they are."""


def write_quality_tables(
    output: str,
    *,
    labels: str | None = None,
    annotations: str | None = None,
    opinions: Sequence[str] = (),
    things: str | None = None,
) -> QualityReport:
    """Learn p_right and write `quality/` of all committed shards; tables that are there already stay.

    Args:
        output, labels, annotations, opinions: as of `precision.measure_precision`.
        things: nouns with commas between them, or a text file with one a line: what share of their pairs is kept is
            reported, since a filter by precision alone favours grounds.

    Raises:
        UserError: one of them cannot be used, or the labels are too few; nothing was written.
        IncompleteError: the dataset changed meanwhile.
        OSError: storage failed.
    """
    dataset = open_mined_dataset(output)
    pairs = read_columns(dataset)
    named = None if things is None else _things(things, pairs)
    source = read_source(dataset, labels, annotations)
    found = read_opinions(opinions, pairs, dataset)
    fitted = fit(pairs, found, source.answers)
    about = {
        "answers": source.kind,
        "answers_sha256": source.sha256,
        f"{source.kind}_sha256": source.sha256,
        "dataset_fingerprint": dataset.description["fingerprint"],
        "manifests_sha256": pairs.manifests_sha256,
        "opinions": [{"name": opinion.name, "sha256": opinion.sha256} for opinion in found],
        "fit": fitted.description(),
    }
    check_no_links(output, ["quality"])
    written = sum(in_threads(lambda index: _write(dataset, pairs, index, fitted, about), range(len(pairs.shards))))
    p = fitted.model.out_of_fold
    right = source.answers.right[fitted.model.used]
    falling = np.sort(fitted.p_right)[::-1]
    return QualityReport(
        output,
        source,
        (*source.remarks, *opinion_remarks(found, pairs)),
        fitted,
        len(pairs.nouns),
        written,
        len(pairs.shards),
        tuple(_chosen(pairs, source, fitted, named, found)),
        tuple(_bins(source, fitted)),
        float(np.mean((p - right) ** 2)),
        float(np.mean((right.mean() - right) ** 2)),
        log_loss(p, right),
        tuple((share, _least(falling, share)) for share in SHARES),
    )


def _least(falling: np.ndarray, share: float) -> float:
    """The least of the best share of values, rounded down, so that what is printed keeps them all."""
    return math.floor(float(falling[max(int(share * len(falling)) - 1, 0)]) * 1e4) / 1e4


def _write(dataset: MinedDataset, pairs: PairColumns, index: int, fitted: Fit, about: dict) -> bool:
    manifest = read_whole_manifest(dataset.layout, pairs.shards[index], ["key"])
    if manifest.sha256 != pairs.manifest_sha256[index]:
        raise IncompleteError(f"{manifest.uri} was written anew meanwhile; run the command again when mining has ended")
    rows = slice(pairs.starts[index], pairs.starts[index + 1])
    return keep_or_write(dataset, manifest, fitted.p_right[rows], about)


def _chosen(
    pairs: PairColumns, source: Source, fitted: Fit, things: np.ndarray | None, opinions: Sequence[Opinion]
) -> list[Chosen]:
    rows = source.answers.row
    others = {
        "clip_score": pairs.score,
        "noun_margin": _known(pairs.noun_margin),
        "noun's mean": pairs.noun_score[pairs.noun],
        # The best key without labels that keeps most nouns: the README of this room has it as SQL.
        "both margins": _known(pairs.mean_by_noun(pairs.noun_margin)[pairs.noun])
        + np.nan_to_num(pairs.noun_margin) / 2,
        **{opinion.name: _known(opinion.score) for opinion in opinions},
    }
    keys = {"p_right": (fitted.blind, fitted.blind_labels)}
    keys |= {name: (values, values[rows]) for name, values in others.items()}
    tail = noun_groups(pairs)[pairs.noun] == 0
    found = []
    for share in SHARES:
        for key, (values, labelled) in keys.items():
            least = np.sort(values)[::-1][max(int(share * len(values)) - 1, 0)]
            kept = values >= least
            found.append(
                Chosen(
                    key,
                    share,
                    estimate(source.answers, labelled >= least, int(kept.sum())),
                    len(np.unique(pairs.noun[kept])),
                    float(kept[tail].mean()),
                    None if things is None else float(kept[things[pairs.noun]].mean()),
                )
            )
    return found


def _known(values: np.ndarray) -> np.ndarray:
    """What is missing comes last."""
    return np.where(np.isfinite(values), values, -np.inf)


def _bins(source: Source, fitted: Fit) -> list[Bin]:
    """Out-of-fold p_right against what the labels say, in equal parts of the labels."""
    used, p = fitted.model.used, fitted.model.out_of_fold
    part = np.argsort(np.argsort(p, kind="stable"), kind="stable") * _BINS // len(p)
    found = []
    for number in range(_BINS):
        inside = np.zeros(len(source.answers), bool)
        inside[used[part == number]] = True
        weights = source.answers.weights[used[part == number]]
        mean = float(np.average(p[part == number], weights=weights))
        found.append(Bin(mean, estimate(source.answers, inside, round(weights.sum()))))
    return found


def _things(things: str, pairs: PairColumns) -> np.ndarray:
    """bool [N]: which nouns are things."""
    try:
        # With a comma it is a list, however long: no name of a file.
        text = things.replace(",", "\n") if "," in things else storage.read_at_most(things, _MOST_BYTES).decode()
    except (FileNotFoundError, IsADirectoryError):
        text = things  # one noun
    except (UnicodeDecodeError, storage.TooManyBytes) as error:
        raise UserError(f"--things {things}: it is no list of nouns, one a line: {error}") from error
    named = {line.strip() for line in text.splitlines()}
    found = np.array([noun in named for noun in pairs.nouns])
    if not found.any():
        raise UserError(
            f"--things {things[:200]}: none of these is one of the {len(pairs.nouns)} nouns of the dataset, and there "
            "is no such file; write nouns with commas between them, or name a file with one a line"
        )
    return found
