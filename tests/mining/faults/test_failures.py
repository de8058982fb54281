"""A shard that fails leaves a record of why, until it is committed."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import ray

from jobs import inspect
from pipeline.dataset.layout import Layout
from pipeline.mining.faults.failures import Failures
from pipeline.mining.run import MiningError, mine
from pipeline.proposals import Proposals, ProposalsConfig
from pipeline.proposals.ground_truth import GroundTruth, GroundTruthOptions
from tests.mining.configs import dataset_bytes, mine_config

FAILING = "8"
"""An image of the second shard."""


class Unplugged:
    """Ground truth, but storage fails at one image while there is no file `plugged` beside the annotations."""

    batch_size = 1
    options_class = GroundTruthOptions

    def __init__(self, config: ProposalsConfig, options: GroundTruthOptions) -> None:
        self._truth = GroundTruth(config, options)
        self._plugged = Path(options.annotations).with_name("plugged")
        self.identity = self._truth.identity | {"name": "unplugged"}

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        if FAILING in image_ids and not self._plugged.exists():
            raise OSError("the cable is out")
        return self._truth.propose(images, image_ids)


def worker_logs() -> str:
    """The standard error of all workers of this Ray instance."""
    folder = Path(ray._private.worker.global_worker.node.get_logs_dir_path())
    return "\n".join(path.read_text() for path in folder.glob("worker-*.err"))


@pytest.mark.soak
def test_why_a_shard_failed_is_kept_until_it_is_committed(mined, world, small_clip, tmp_path, capsys):
    (tmp_path / "panoptic.json").write_bytes((world / "panoptic.json").read_bytes())
    (tmp_path / "panoptic").symlink_to(world / "panoptic")
    truth = {"annotations": str(tmp_path / "panoptic.json")}
    output = tmp_path / "out"
    proposals = ProposalsConfig(backend="tests.mining.faults.test_failures:Unplugged", options=truth)
    config = mine_config(world, small_clip, output, proposals=proposals)
    with pytest.raises(MiningError, match=r"1 shards failed \(1\)"):
        mine(config)
    assert [path.name for path in (output / "errors").iterdir()] == ["000001.json"]
    record = json.loads((output / "errors" / "000001.json").read_text())
    assert record["stage"] == "proposals"
    assert record["error"].startswith("Traceback")
    assert record["error"].endswith("OSError: the cable is out\n")
    logs = worker_logs()
    assert logs.count(f"shard 000001 of {output} failed in proposals\nTraceback") == 2  # it was tried again
    assert f"shard 000003 of {output}: 6 images, 0 rejected, " in logs

    assert inspect.main([str(output)]) == 0
    shown = capsys.readouterr().out
    assert "3 of 4" in shown
    assert "1 failed shards" in shown
    assert "OSError: the cable is out" in shown
    assert inspect.main([str(output), "--verify"]) == 0

    (tmp_path / "plugged").touch()
    mine(config)
    assert not list((output / "errors").iterdir())
    assert dataset_bytes(output) == dataset_bytes(mined)
    assert "failed shards" not in (inspect.main([str(output)]), capsys.readouterr().out)[1]


def test_records_of_committed_shards_are_removed_by_the_next_run(tmp_path):
    layout = Layout(str(tmp_path))
    failures = Failures(layout)
    for shard in (3, 4):
        failures.record(shard, "matching: Traceback …: boom\n")
    assert failures.errors.keys() == layout.failed() == {3, 4}
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "000003.parquet").touch()
    again = Failures(layout)
    assert layout.failed() == {4}
    assert again.errors == {}
    again.forget(4)
    again.forget(5)
    assert layout.failed() == set()
