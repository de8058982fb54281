"""Configurations of small training runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.training.config import (
    CheckpointsConfig,
    FullConfig,
    LossConfig,
    MaskPromptConfig,
    ModelConfig,
    TrainConfig,
    WorkersConfig,
)
from pipeline.training.samples import DataConfig


def train_config(mined: Path | str, small_clip: str, output: Path | str, **changes: Any) -> TrainConfig:
    """Two epochs of full finetuning, one of mask prompts; batches of 16, read by the worker itself."""
    config = TrainConfig(
        dataset=str(mined),
        output=str(output),
        batch_size=16,
        model=ModelConfig(architecture=small_clip, weights=None),
        data=DataConfig(held_out_share=0.2, loaders=0),
        loss=LossConfig(kind="contrastive"),
        full=FullConfig(epochs=2, learning_rate=1e-3, warmup_steps=2),
        mask_prompt=MaskPromptConfig(epochs=1, warmup_steps=1),
        workers=WorkersConfig(gpu=False),
        checkpoints=CheckpointsConfig(every_steps=2),
        loggers=[],
        log_every=2,
    )
    return replace(config, **changes)


def command_line(mined: Path | str, small_clip: str, output: Path | str) -> list[str]:
    """The same run as arguments of `python -m jobs.train`."""
    return [
        f"--dataset={mined}",
        f"--output={output}",
        "--batch_size=16",
        f"--model.architecture={small_clip}",
        "--model.weights=null",
        "--data.held_out_share=0.2",
        "--data.loaders=0",
        "--loss.kind=contrastive",
        "--full.epochs=2",
        "--full.learning_rate=1e-3",
        "--full.warmup_steps=2",
        "--mask_prompt.epochs=1",
        "--mask_prompt.warmup_steps=1",
        "--workers.gpu=false",
        "--checkpoints.every_steps=2",
        "--loggers=[]",
        "--log_every=2",
    ]
