"""A run that reads from S3 and writes to S3, and goes on there after faults."""

import pytest

from pipeline import storage
from tests.disturbed_jobs import run, run_disturbed
from tests.training.configs import command_line
from tests.training.finished import assert_same_model

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("s3", ["ceph"], indirect=True)
@pytest.mark.parametrize(
    "disturbances",
    [{}, pytest.param({"kill worker": 2, "interrupt": 4, "kill head": 7}, marks=pytest.mark.soak)],
    ids=len,
)
def test_same_weights_as_on_a_local_disk_that_nobody_disturbed(
    s3, s3_uri, mined, small_clip, adapted, forked_workers, tmp_path, disturbances
):
    dataset, output, log = f"{s3_uri}/mined", f"{s3_uri}/run", tmp_path / "log.txt"
    for path in sorted(path for path in mined.rglob("*") if path.is_file()):
        storage.upload(path, f"{dataset}/{path.relative_to(mined)}")

    def checkpoints() -> int:
        return len(storage.list_names(f"{output}/checkpoints"))

    running = ["--loggers=[tensorboard]", "--data.loaders=1", f"--data.cache={tmp_path / 'cache'}"]
    running += ["--checkpoints.every_steps=1", "--checkpoints.keep=100"]
    arguments = [*command_line(dataset, small_clip, output), *running]
    if disturbances:
        run_disturbed("train", arguments, checkpoints, list(disturbances), list(disturbances.values()), log, seed=1)
    else:
        assert run("train", arguments, log, forked_workers) == 0, log.read_text()

    assert_same_model(output, adapted, tmp_path)
    assert storage.list_names(f"{output}/tensorboard")
    assert len(list((tmp_path / "cache").rglob("*.tar"))) == 4
