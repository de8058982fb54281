"""Fixtures of the training tests."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def adapted(mined, small_clip, ray_cluster, made_once) -> Path:
    """The output of an undisturbed run: full, then mask prompts, one worker. Tests only read it."""
    from pipeline.training.run import train
    from tests.training.configs import train_config

    return made_once("adapted", lambda folder: train(train_config(mined, small_clip, folder)))
