"""Fixtures of the mining tests."""

import pytest

from tests.clip.conftest import tiny, tiny_folder
from tests.small_clip import build_small_clip

__all__ = ["tiny", "tiny_folder"]


@pytest.fixture(scope="session")
def second_clip(world, made_once) -> str:
    """Another small CLIP than the one that matches."""
    folder = made_once(
        "second-clip",
        lambda folder: build_small_clip(world / "instances.json", world / "images", folder, steps=1, seed=9),
    )
    return f"local-dir:{folder}"
