"""What verifiers, further CLIPs, say of the pairs: counts over all of them, and the opinions on those that are shown.

A verifier agrees with a pair if no other noun of the image fits the mask better, and no other candidate of the noun
fits the noun better: both of its ranks are 0.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_whole_manifest
from pipeline.dataset.verified import StaleVerifiedError, read_verified
from pipeline.report.dataset.reading import Pairs
from pipeline.storage.in_threads import in_threads

Opinion = tuple[float, int, int]
"""Score, `mask_rank` and `noun_rank` of one verifier on one pair."""

_COLUMNS = ("score", "mask_rank", "noun_rank")


@dataclass(frozen=True)
class Opinions:
    """What the verifiers of a dataset say; V verifiers, S pairs that are shown. Without tables of them V is 0."""

    verifiers: tuple[str, ...] = ()
    """Names, sorted."""
    counts: dict[str, Counter] = field(default_factory=dict)
    """By verifier: `pairs` that it has an opinion on; of these those that it `agrees` with, and those of which another
    `mask`, or another `noun`, fits better (some are counted in both)."""
    missing: Counter = field(default_factory=Counter)
    """By verifier the committed shards without its opinion."""
    other_clips: tuple[str, ...] = ()
    """Verifiers that are not the same CLIP in all shards."""
    of_shown: Sequence[list[Opinion | None]] = ()
    """S × V; None where a verifier has no opinion."""


@dataclass(frozen=True)
class _Shard:
    clips: dict[str, str]
    counts: dict[str, Counter]
    of_shown: dict[str, list[Opinion | None]]


def read_opinions(layout: Layout, shards: Sequence[int], pairs: Pairs, shown: np.ndarray) -> Opinions:
    """Read the tables of second opinions, a few in memory at a time; of each, sums and the pairs shown are kept.

    A table that was made for other pairs (its shard was mined again since) is no opinion on these.

    Args:
        shards: committed, in the order of `pairs`.
        shown: int64 [S], indices into `pairs`.

    Raises:
        UserError: a table is damaged.
        OSError: storage cannot be read.
    """
    there = layout.present("verified")
    if not there:
        return Opinions()
    starts = np.searchsorted(pairs.shard, shards)
    # By shard the places in `shown` of its pairs, and their rows in its manifest.
    shard_of_shown = pairs.shard[shown]
    places = {shard: np.flatnonzero(shard_of_shown == shard) for shard in shards}
    rows = {shard: shown[places[shard]] - start for shard, start in zip(shards, starts.tolist(), strict=True)}
    covered = [shard for shard in shards if shard in there]
    found = in_threads(lambda shard: _read_shard(layout, shard, rows[shard]), covered)
    counts: dict[str, Counter] = defaultdict(Counter)
    clips: dict[str, set[str]] = defaultdict(set)
    committed: Counter = Counter()
    by_place: dict[str, dict[int, Opinion | None]] = defaultdict(dict)
    for shard, read in zip(covered, found, strict=True):
        for name, clip in read.clips.items():
            clips[name].add(clip)
            counts[name] += read.counts[name]
            committed[name] += 1
            by_place[name] |= zip(places[shard].tolist(), read.of_shown[name], strict=True)
    names = tuple(sorted(clips))
    return Opinions(
        names,
        dict(counts),
        Counter({name: len(shards) - committed[name] for name in names}),
        tuple(name for name in names if len(clips[name]) > 1),
        [[by_place[name].get(place) for name in names] for place in range(len(shown))],
    )


def _read_shard(layout: Layout, shard: int, rows: np.ndarray) -> _Shard:
    manifest = read_whole_manifest(layout, shard, ["key"])
    try:
        verified = read_verified(layout, manifest)
    except StaleVerifiedError:
        return _Shard({}, {}, {})
    of_pairs = verified.of_pairs(manifest.table["key"])
    return _Shard(
        {name: str(about.get("sha256")) for name, about in verified.verifiers.items()},
        {name: _count(of_pairs, name) for name in verified.verifiers},
        {name: _chosen(of_pairs, name, rows) for name in verified.verifiers},
    )


def _count(of_pairs: pa.Table, name: str) -> Counter:
    mask, noun = (of_pairs[f"{name}_{rank}"].to_numpy() for rank in ("mask_rank", "noun_rank"))
    known = ~(np.isnan(mask) | np.isnan(noun))  # nulls are nan there
    found = {
        "pairs": known,
        "agrees": known & (mask == 0) & (noun == 0),
        "mask": known & (mask > 0),
        "noun": known & (noun > 0),
    }
    return Counter({kind: int(np.count_nonzero(of_kind)) for kind, of_kind in found.items()})


def _chosen(of_pairs: pa.Table, name: str, rows: np.ndarray) -> list[Opinion | None]:
    chosen = of_pairs.select([f"{name}_{column}" for column in _COLUMNS]).take(pa.array(rows))
    values = zip(*(column.to_pylist() for column in chosen.columns), strict=True)
    return [None if None in (score, mask, noun) else (round(score, 6), mask, noun) for score, mask, noun in values]
