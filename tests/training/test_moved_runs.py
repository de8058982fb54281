"""Whole runs that move a part of the weights, with replay: what they leave, and that a killed one ends the same."""

import json
import re
import shutil
from pathlib import Path

import open_clip
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.clip import load_clip
from pipeline.training.config import (
    CheckpointsConfig,
    FullConfig,
    LoraConfig,
    LossConfig,
    ReplayConfig,
    TextConfig,
    TrainConfig,
    WorkersConfig,
)
from pipeline.training.run import train
from tests.training.configs import train_config
from tests.training.finished import assert_same_model
from tests.training.test_train import changed, weights

pytestmark = pytest.mark.slow

FULL = {"epochs": 1, "learning_rate": 1e-3, "warmup_steps": 1}
LORA = LoraConfig(rank=4, alpha=8.0, matrices=["q", "v", "mlp"])
RUNS = {
    "query and value of both towers, with replay": {
        "mode": "full",
        "full": FullConfig(**FULL, parameters="attention_qv"),
        "text": TextConfig(parameters="attention_qv"),
        "replay": ReplayConfig(share=0.25),
        "loss": LossConfig(kind="multi_positive"),
        "micro_batch_size": 5,
    },
    "LoRA of both towers, averaged, then mask prompts": {
        "full": FullConfig(**FULL, parameters="lora", lora=LORA, wise_ft=0.5),
        "text": TextConfig(parameters="lora", lora=LORA, learning_rate=2e-3),
        "replay": ReplayConfig(share=0.25),
        "loss": LossConfig(kind="classification"),
    },
    "last block of the image tower": {
        "mode": "full",
        "full": FullConfig(**FULL, parameters="last_blocks"),
        "text": TextConfig(parameters="attention"),
    },
}

WITH_REPLAY, LORA_THEN_PROMPTS, LAST_BLOCK = RUNS

MOVED = dict(
    zip(
        RUNS,
        (
            r".*\.attn\.in_proj_(?:weight|bias)",
            r".*\.(?:attn\.in_proj_|mlp\.c_(?:fc|proj)\.)weight",
            r"visual\.(?:transformer\.resblocks\.2\..*|ln_post\..*|proj)|transformer\..*\.attn\..*",
        ),
        strict=True,
    )
)


def settings(name: str, mined: Path, small_clip: str, output: Path, **changes) -> TrainConfig:
    checkpoints = CheckpointsConfig(every_steps=1, keep=100)
    return train_config(mined, small_clip, output, **({"checkpoints": checkpoints} | RUNS[name] | changes))


def go_back(output: Path, stage: str, step: int) -> None:
    """Leave a run as if it had been killed after a step of a phase: what was written later goes."""
    for path in (output / "checkpoints").glob("*-*"):
        phase, _, number = path.name.rpartition("-")
        if phase != stage or int(number) > step:
            shutil.rmtree(path)
    for name in ("result.json", "metrics.parquet"):
        (output / name).unlink()
    shutil.rmtree(output / "model")


@pytest.mark.parametrize(
    "name",
    [LORA_THEN_PROMPTS, *(pytest.param(name, marks=pytest.mark.soak) for name in (WITH_REPLAY, LAST_BLOCK))],
)
def test_a_killed_run_ends_with_the_same_weights(name, mined, small_clip, ray_cluster, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    result = train(settings(name, mined, small_clip, whole))
    shutil.copytree(whole, stopped)
    go_back(stopped, "full", 2)
    train(settings(name, mined, small_clip, stopped))
    (tmp_path / "files").mkdir()
    if (whole / "model" / "mask_prompts.safetensors").exists():
        assert_same_model(str(stopped), whole, tmp_path / "files")
    assert not changed(weights(whole / "model"), weights(stopped / "model"))
    losses = [pq.read_table(run / "metrics.parquet")["loss"].to_pylist() for run in (whole, stopped)]
    assert losses[0] == losses[1]

    rows = [row for row in pq.read_table(whole / "metrics.parquet").to_pylist() if row["loss"] is not None]
    assert rows[0]["optimizer_bytes"] > 0
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{whole / 'model'}")
    clip = load_clip(f"local-dir:{whole / 'model'}")
    pixels = torch.randn(2, 3, clip.input.size, clip.input.size)
    with torch.no_grad():
        torch.testing.assert_close(clip.vision(pixels), model.eval().encode_image(pixels))
    original = weights(small_clip)
    moved = changed(original, weights(whole / "model")) - {"prompts"}
    assert moved == {weight for weight in original if re.fullmatch(MOVED[name], weight)}
    if "replay" in RUNS[name]:
        assert result["replay"]["unreadable"] == {}
        assert 12 < result["replay"]["images"] < 24  # of 24, without those that are held out
        assert "| replay, share of each batch | 0.25, " in (whole / "model" / "README.md").read_text()
    accuracy = json.loads((whole / "result.json").read_text())["accuracy"]
    assert len(accuracy) == (3 if "prompts" in name else 2)


@pytest.mark.soak
def test_two_workers_learn_what_one_learns(mined, small_clip, ray_cluster, tmp_path):
    for workers in (1, 2):
        train(
            settings(WITH_REPLAY, mined, small_clip, tmp_path / str(workers), workers=WorkersConfig(workers, gpu=False))
        )
    one, two = (weights(tmp_path / str(workers) / "model") for workers in (1, 2))
    for key in one:
        torch.testing.assert_close(two[key], one[key], rtol=1e-3, atol=1e-4, msg=key)
