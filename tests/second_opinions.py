"""Second opinions that no CLIP has given."""

from pathlib import Path

import numpy as np
import pyarrow as pa

import schemas
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_whole_manifest
from pipeline.dataset.verified import SecondOpinion, write_verified


def write_random_opinions(folder: Path, shard: int, seed: int, **about: dict) -> dict[str, list]:
    """Random opinions on each pair and on a second candidate of it.

    Returns: those on pairs, score and mask_rank, by key.

    The first pair could not be looked at.
    """
    layout = Layout(str(folder))
    manifest = read_whole_manifest(layout, shard)
    names = ["image_id", "noun", "phrase", "rank"]
    pairs = manifest.table.select([name for name in names if name in manifest.table.column_names]).to_pylist()
    rows = [{**pair, "rank": rank} for pair in pairs for rank in (0, 1)]
    rng, count = np.random.default_rng(seed), len(rows)
    scores = [rng.random(count, np.float32) for _ in range(3)]
    ranks = [rng.integers(0, 3, count).astype(np.int32) for _ in range(2)]
    scores[0][0], ranks[0][0] = np.nan, -1
    opinion = SecondOpinion(*scores, *ranks)
    candidates = pa.Table.from_pylist(rows, pa.schema([schemas.CANDIDATES.field(name) for name in names]))
    write_verified(layout, manifest, candidates, dict.fromkeys(about, opinion), [None] * count, about)
    keys = manifest.table["key"].to_pylist()
    return {key: [scores[0][2 * row], ranks[0][2 * row]] for row, key in enumerate(keys)}
