"""Proposals that are kept, and mining again with them: the same bytes without a backend."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import schemas
from pipeline.captions import open_captions
from pipeline.errors import UserError
from pipeline.inspection.verify import repair, verify
from pipeline.masks.masks import Masks
from pipeline.mining.plan import measure_source, resolve
from pipeline.mining.run import mine
from pipeline.proposals import ProposalsConfig, load_proposer
from tests.mining.configs import dataset_bytes, mine_config
from tests.proposals.kept_dataset import write_kept_dataset


def from_kept(dataset: Path | str) -> ProposalsConfig:
    return ProposalsConfig("mined", {"dataset": str(dataset)})


@pytest.mark.slow
def test_mining_again_from_kept_proposals_gives_the_same_bytes(world, small_clip, mined, ray_cluster, tmp_path):
    first, again = tmp_path / "first", tmp_path / "again"
    config = mine_config(world, small_clip, first, keep_proposals=True)
    dataset = mine(config)
    kept = dataset_bytes(first)
    without = {name: data for name, data in kept.items() if not name.startswith(("proposals/", "manifests/"))}
    assert without == {name: data for name, data in dataset_bytes(mined).items() if not name.startswith("manifests/")}
    assert {name for name in kept if name.startswith("proposals/")} <= dataset["files"].keys()

    rows = pq.read_table(first / "proposals", schema=schemas.PROPOSALS).to_pylist()
    by_image = {row["image_id"]: row for row in rows}
    assert len(by_image) == len(rows)
    for pair in pq.read_table(first / "manifests").to_pylist():
        row = by_image[pair["image_id"]]
        assert (row["image_width"], row["image_height"]) == (pair["image_width"], pair["image_height"])
        assert row["mask_rles"][pair["proposal_index"]] == pair["mask_rle"]
        assert row["scores"][pair["proposal_index"]] == pair["proposal_score"]
        assert Masks([code.encode() for code in row["mask_rles"]], row["image_height"], row["image_width"])

    mine(replace(config, output=str(again), proposals=from_kept(first)))
    assert dataset_bytes(again) == kept

    # A damaged table is noticed, and its shard made again.
    table = again / "proposals" / "000001.parquet"
    table.write_bytes(table.read_bytes()[:-20])
    damages = verify(str(again))
    assert [damage.file for damage in damages] == ["proposals/000001.parquet"]
    assert repair(str(again), damages) == [1]
    assert not table.exists()
    mine(replace(config, output=str(again), proposals=from_kept(first)))
    assert dataset_bytes(again) == kept
    with pytest.raises(UserError, match="keep_proposals"):
        mine(replace(config, output=str(first), keep_proposals=False))


def test_a_dataset_of_other_images_is_told_before_work_begins(world, small_clip, tmp_path):
    write_kept_dataset(tmp_path / "other", ["not", "these"], {})
    config = resolve(mine_config(world, small_clip, tmp_path / "mined", proposals=from_kept(tmp_path / "other")))
    with pytest.raises(UserError, match=r"proposals\.options\.dataset: .* lists none of the 24 images"):
        measure_source(config, open_captions(config.captions), load_proposer(config.proposals))


def test_the_output_itself_is_no_dataset_to_mine_from(world, small_clip, tmp_path):
    config = mine_config(world, small_clip, tmp_path / "mined", proposals=from_kept(tmp_path / "mined"))
    with pytest.raises(UserError, match="is the output itself"):
        resolve(config)
