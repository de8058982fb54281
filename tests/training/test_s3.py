"""A run that reads from S3 and writes to S3, and goes on there after its driver was killed."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from pipeline import storage
from tests.disturbed_jobs import run, run_disturbed
from tests.training.configs import command_line

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("s3", ["ceph"], indirect=True)
def test_same_weights_as_on_a_local_disk(s3, s3_uri, mined, small_clip, tmp_path):
    dataset, output = f"{s3_uri}/mined", f"{s3_uri}/run"
    for path in sorted(path for path in mined.rglob("*") if path.is_file()):
        storage.upload(path, f"{dataset}/{path.relative_to(mined)}")
    options = ["--mode=full", "--full.epochs=3", "--loggers=[tensorboard]", "--data.loaders=1"]

    def checkpoints() -> int:
        return len(storage.list_names(f"{output}/checkpoints"))

    arguments = [*command_line(dataset, small_clip, output), *options, f"--data.cache={tmp_path / 'cache'}"]
    log = tmp_path / "log.txt"
    assert run_disturbed("train", arguments, checkpoints, ["kill driver"], [3], log, seed=1) == [-9, 0], log.read_text()
    assert run("train", [*command_line(mined, small_clip, tmp_path / "local"), *options], log) == 0, log.read_text()

    (tmp_path / "remote").mkdir()
    for name in json.loads(storage.read_bytes(f"{output}/result.json"))["files"]:
        (tmp_path / "remote" / Path(name).name).write_bytes(storage.read_bytes(f"{output}/{name}"))
    found = load_file(tmp_path / "remote" / "open_clip_model.safetensors")
    expected = load_file(tmp_path / "local" / "model" / "open_clip_model.safetensors")
    assert all(found[name].equal(expected[name]) for name in expected)
    assert storage.list_names(f"{output}/tensorboard")
    assert len(list((tmp_path / "cache").rglob("*.tar"))) == 4
