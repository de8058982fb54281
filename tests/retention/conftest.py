"""Fixtures of the tests of whole images."""

from pathlib import Path

import pytest

from tests.clip.conftest import tiny, tiny_folder
from tests.retention.pictures import write_class_folders

__all__ = ["tiny", "tiny_folder"]


@pytest.fixture(scope="session")
def class_folders(made_once) -> Path:
    """36 images in six folders of classes. Tests only read it."""
    return made_once("class-folders", write_class_folders)
