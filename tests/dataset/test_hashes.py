"""Tables of hashes: written with their shard, and not read with another manifest."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import schemas
from jobs import inspect
from pipeline.dataset.hashes import HashedImage, dataset_hashes, hashes_table, read_hashes
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_manifest
from pipeline.errors import UserError
from tests.report.made_dataset import make_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A dataset with hashes of its images with pairs."""
    folder = tmp_path_factory.mktemp("made") / "mined"
    make_dataset(folder, ["dog", "cat", "hat", "tree", "sky"], shards=2, images_per_shard=3)
    for shard in range(2):
        manifest = read_manifest(Layout(str(folder)), shard, ["image_id", "image_sha256"]).table
        images = dict.fromkeys(zip(*(column.to_pylist() for column in manifest.columns), strict=True))
        table = hashes_table(shard, [HashedImage(i, "", sha256, 7 + n) for n, (i, sha256) in enumerate(images)])
        (folder / "hashes").mkdir(exist_ok=True)
        pq.write_table(table, folder / "hashes" / f"{shard:06d}.parquet")
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "mined")


def read(folder: Path, shard: int) -> pa.Table:
    layout = Layout(str(folder))
    return read_hashes(layout, read_manifest(layout, shard, ["image_id"], ["image_sha256"]))


def test_all_shards_are_read_in_their_order(folder):
    found = dataset_hashes(Layout(str(folder)), [0, 1])
    assert found.schema.equals(schemas.HASHES)
    assert found["shard"].to_pylist() == [0, 0, 1, 1]
    assert found["perceptual_hash"].to_pylist() == [7, 8, 7, 8]


def test_a_table_of_other_images_is_not_read(folder):
    path = folder / "hashes" / "000001.parquet"
    table = pq.read_table(path)
    for changed in (
        table.slice(1),
        table.set_column(3, schemas.HASHES.field("image_sha256"), pa.array(["f" * 64] * 2)),
    ):
        pq.write_table(changed, path)
        with pytest.raises(UserError, match=r"of other images than manifests/000001\.parquet.*duplicates .* --hash"):
            read(folder, 1)
    shutil.copy(folder / "hashes" / "000000.parquet", path)
    with pytest.raises(UserError, match="of other images"):
        read(folder, 1)


@pytest.mark.parametrize("damage", ["cut", "columns", "nulls", "types"])
def test_damage_is_found_and_repaired(folder, damage, capsys):
    assert inspect.main([str(folder), "--verify"]) == 0
    path = folder / "hashes" / "000001.parquet"
    table = pq.read_table(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "columns":
        pq.write_table(table.drop_columns("image_uri"), path)
    elif damage == "nulls":
        pq.write_table(table.set_column(4, "perceptual_hash", pa.nulls(2, pa.uint64())), path)
    else:
        pq.write_table(table.set_column(4, "perceptual_hash", pa.array([1, 2], pa.int32())), path)
    with pytest.raises(UserError, match=r"hashes/000001\.parquet"):
        read(folder, 1)
    assert inspect.main([str(folder), "--verify"]) == 1
    assert inspect.main([str(folder), "--repair"]) == 0
    assert "jobs.inspect duplicates --hash writes them again" in capsys.readouterr().out
    assert not path.exists()
    assert (folder / "manifests" / "000001.parquet").exists()
