"""Killing a worker in the middle of an epoch, and interrupting the job: the weights end as if nothing had happened.

(`test_s3` has the same where dataset and run lie on S3.)
"""

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.disturbed_jobs import run, run_disturbed
from tests.training.configs import command_line

pytestmark = pytest.mark.soak

ARGUMENTS = [
    "--full.epochs=5",
    "--checkpoints.every_steps=1",
    "--checkpoints.keep=100",
    "--data.loaders=1",
    "--data.weight=mask_area",
]


def checkpoints(output: Path) -> int:
    return len(list((output / "checkpoints").glob("*-*")))


def test_kills_do_not_change_a_bit_of_the_weights(mined, small_clip, tmp_path):
    log, outputs = tmp_path / "log.txt", {name: tmp_path / name for name in ("undisturbed", "disturbed")}
    assert run("train", [*command_line(mined, small_clip, outputs["undisturbed"]), *ARGUMENTS], log) == 0
    steps = checkpoints(outputs["undisturbed"])

    kinds = ["kill worker", "interrupt"]
    moments = random.Random(1).sample(range(2, steps * 2 // 3), len(kinds))
    arguments = [*command_line(mined, small_clip, outputs["disturbed"]), *ARGUMENTS]
    run_disturbed("train", arguments, lambda: checkpoints(outputs["disturbed"]), kinds, moments, log, seed=1)
    found, expected = (
        {path.name: path.read_bytes() for path in (output / "model").glob("*.safetensors")}
        for output in outputs.values()
    )
    assert len(expected) == 2
    assert found == expected
    losses = [pq.read_table(output / "metrics.parquet")["loss"].to_pylist() for output in outputs.values()]
    assert losses[0] == losses[1]
