"""Images that nobody made on purpose, or somebody did: `pytest -m soak tests/hostile --seed 7`."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def read_odd_images(seed: int, count: int, last: Path) -> None:
    """In a process of its own, since decoders written in C could end it."""
    command = [sys.executable, "-m", "tests.hostile.odd_images", str(seed), str(count), str(last)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}\nseed {seed}, ended with {done.returncode} at {last}"


def test_odd_images(pytestconfig, tmp_path):
    read_odd_images(pytestconfig.getoption("seed"), 500, tmp_path / "last")


@pytest.mark.soak
def test_many_odd_images(pytestconfig, tmp_path):
    read_odd_images(pytestconfig.getoption("seed"), 50_000, tmp_path / "last")
