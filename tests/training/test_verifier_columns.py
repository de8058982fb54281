"""Columns of verifiers in `data.where` and `data.weight`."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.training.config import DataConfig
from pipeline.training.sample_table import Samples
from pipeline.training.samples import select_samples
from tests.second_opinions import write_random_opinions
from tests.training.datasets import write_dataset

SHARDS = 2


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_dataset(tmp_path / "mined", shards=SHARDS, images=12, side=4)


def select(folder: Path, **options) -> Samples:
    return select_samples(str(folder), DataConfig(**{"held_out_share": 0.0, **options}))


def test_pairs_are_chosen_by_what_a_verifier_says(dataset, tmp_path):
    said = {}
    for shard in range(SHARDS):
        said |= write_random_opinions(dataset, shard, shard, so400m={"sha256": "1"})
    samples = select(dataset, where="so400m_score > 0.3 and so400m_mask_rank = 0")
    expected = sorted(key for key, (score, rank) in said.items() if score > 0.3 and rank == 0)  # nan is not above
    assert samples.table["key"].to_pylist() == expected
    assert 0 < len(expected) < len(said)
    weighted = select(dataset, weight="coalesce(SO400M_score, 0.5)")
    weights = np.array([0.5 if np.isnan(score) else score for _, (score, _) in sorted(said.items())])
    np.testing.assert_allclose(weighted.weight_of_row, weights / weights.mean(), rtol=1e-5)
    weighted.write(str(tmp_path / "samples.parquet"))
    assert Samples.read(str(tmp_path / "samples.parquet")).verified_sha256 == weighted.verified_sha256 is not None
    assert select(dataset, where="noun <> 'so400m_score'").verified_sha256 is None


def test_names_that_only_look_like_a_verifiers(dataset):
    write_random_opinions(dataset, 0, 0, so400m={"sha256": "1"})
    with pytest.raises(UserError, match=r'(?s)"other_score" not found.*of each verifier NAME_score, NAME_noun_margin'):
        select(dataset, where="other_score > 0")
    best = "clip_score >= (select avg(best_score) from (select max(clip_score) as best_score from pairs group by noun))"
    assert len(select(dataset, where=best).table)


def test_shards_without_it_are_named(dataset):
    write_random_opinions(dataset, 0, 0, so400m={"sha256": "1"})
    with pytest.raises(UserError, match=r"verified/000001\.parquet has no opinion of so400m, .*--verify-only"):
        select(dataset, where="so400m_score > 0")
    write_random_opinions(dataset, 1, 0, so400m={"sha256": "2"})
    with pytest.raises(UserError, match="so400m is another CLIP in shard 00000"):
        select(dataset, where="so400m_score > 0")


def test_a_shard_that_was_mined_again_is_not_read(dataset):
    for shard in range(SHARDS):
        write_random_opinions(dataset, shard, 0, so400m={"sha256": "1"})
    (dataset / "dataset.json").unlink()  # which knows the checksum of the manifest
    path = dataset / "manifests" / "000001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(0, len(table)).replace_schema_metadata(table.schema.metadata), path, compression="none")
    with pytest.raises(UserError, match="was mined again since"):
        select(dataset, where="so400m_score > 0")
