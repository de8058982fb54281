"""Images of a web server that were not there and are there again."""

import shutil
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.mining.retrying import make_due
from pipeline.mining.run import mine
from tests.mining.configs import dataset_bytes, mine_config
from tests.storage.test_http import web_server

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.slow]


def test_only_shards_of_images_that_are_back_are_mined_again(world, small_clip, tmp_path):
    images = shutil.copytree(world / "images", tmp_path / "images")
    first, other = sorted(images.iterdir())[::12][:2]
    for gone in (first, other):
        gone.rename(tmp_path / gone.name)
    with web_server(images) as root:
        config = mine_config(world, small_clip, tmp_path / "mined")
        config = replace(config, captions=replace(config.captions, images=root), max_reject_fraction=1.0)
        mine(config)
        rejects = pq.read_table(tmp_path / "mined" / "rejects").to_pylist()
        assert [row["reason"] for row in rejects if row["stage"] == "images"] == ["missing_file"] * 2
        with pytest.raises(UserError, match=r"rejected as 'unreachable' .*found: missing_file \(2\)"):
            make_due(config, ["unreachable"])
        assert make_due(config, ["missing_file"]).due == []  # and the dataset stays complete
        before = dataset_bytes(tmp_path / "mined")
        (tmp_path / first.name).rename(first)
        found = make_due(config, ["missing_file"])
        assert found.described() == [
            "1 of 2 rejected images can be read now; 1 shards are mined again", "still missing_file: 1 images"
        ]  # fmt: skip
        mine(config)
        at_once = replace(config, output=str(tmp_path / "at-once"))
        mine(at_once)
    after = dataset_bytes(tmp_path / "mined")
    assert after == dataset_bytes(tmp_path / "at-once")
    changed = {path for path in after if after[path] != before[path]}
    assert changed == {f"{kind}/{found.due[0]:06d}.{'tar' if kind == 'shards' else 'parquet'}"
                       for kind in ("shards", "manifests", "candidates", "rejects", "hashes")}  # fmt: skip
