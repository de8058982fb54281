"""Images that end or stop the process that looks at them."""

import json

import pyarrow.parquet as pq
import pytest

from pipeline.inspection.verify import verify
from tests.disturbed_jobs import run
from tests.mining.configs import command_line
from tests.mining.killer import FATAL


@pytest.mark.slow
@pytest.mark.parametrize("shards", [2, pytest.param(4, marks=pytest.mark.soak)])
def test_images_that_kill_or_keep_their_worker_every_time_cost_only_themselves(
    mined, world, small_clip, forked_workers, tmp_path, shards
):
    output, fatal = tmp_path / "out", FATAL[:shards]
    arguments = [
        *command_line(world, small_clip, str(output)),
        f"--limit={6 * shards}",
        "--proposals.backend=tests.mining.killer:Killer",
        "--resources.straggler_factor=1",
        "--resources.straggler_seconds=5",
    ]
    log = tmp_path / "log.txt"
    assert run("mine", arguments, log, forked_workers) == 0, log.read_text()
    rejects = pq.read_table(output / "rejects").to_pylist()
    assert [(row["image_id"], row["stage"], row["reason"], row["detail"]) for row in rejects] == [
        (image, "proposals", "kills_worker", "3 workers died while working on it") for image in fatal
    ]
    rows = pq.read_table(mined / "manifests").to_pylist()
    expected = [row for row in rows if row["image_id"] not in fatal and row["shard"] < shards]
    found = pq.read_table(output / "manifests").to_pylist()
    assert [row["key"] for row in found] == [row["key"] for row in expected]
    for row, other in zip(found, expected, strict=True):
        for name in ("tar_offset", "tar_length", "backend"):
            del row[name], other[name]
        assert row == pytest.approx(other, abs=1e-5)
    assert verify(str(output)) == []
    assert json.loads((output / "dataset.json").read_text())["rejected"] == {"proposals: kills_worker": shards}
    assert not (output / "attempts").exists()
