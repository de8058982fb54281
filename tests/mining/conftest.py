"""Fixtures of the mining tests."""

from tests.clip.conftest import tiny, tiny_folder

__all__ = ["tiny", "tiny_folder"]
