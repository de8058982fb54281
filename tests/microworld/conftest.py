"""Fixtures of the tests of the micro world."""

import numpy as np
import pytest

from pipeline.microworld.scenes import Scene, draw_scene


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    """400 scenes. Tests only read them."""
    return [draw_scene(np.random.default_rng((11, number))) for number in range(400)]
