"""Fixtures shared by all tests."""

import logging
import os
from pathlib import Path

import pytest

pytest_plugins = ["tests.s3"]

# Set before any test imports torch, numpy or Ray: few cores are shared by many processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray Train's controller looks at its workers every two seconds, and takes one report of each at a time.
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.1")

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=3, help="how often tests/mining/test_kill.py disturbs a job")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material beside the checkout; tests that use it skip where it is absent."""
    folder = Path(os.environ.get("OVSEG_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"reference material is not at {folder} (set OVSEG_SHARED)")
    return folder


@pytest.fixture(scope="session")
def coco_sample(shared: Path) -> Path:
    """132 real COCO images with captions and masks."""
    folder = shared / "coco-sample"
    if not folder.is_dir():
        pytest.skip(f"no coco-sample in {shared}")
    return folder


@pytest.fixture(scope="session")
def ray_cluster():
    """One Ray instance for all tests that run in this process."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """24 scenes of the micro world in COCO format."""
    from pipeline.microworld.world import write_world

    folder = tmp_path_factory.mktemp("world")
    write_world(folder, images=24, seed=5)
    return folder


@pytest.fixture(scope="session")
def small_clip(world: Path, tmp_path_factory) -> str:
    """A small CLIP, hardly trained, as an open_clip `local-dir:`."""
    from tests.small_clip import build_small_clip

    folder = tmp_path_factory.mktemp("small-clip")
    build_small_clip(world / "instances.json", world / "images", folder, steps=2)
    return f"local-dir:{folder}"


@pytest.fixture(scope="session")
def mined(world: Path, small_clip: str, ray_cluster: None, tmp_path_factory) -> Path:
    """The dataset that an undisturbed job mines from `world`. Tests only read it."""
    from pipeline.mining.run import mine
    from tests.mining.configs import mine_config

    output = tmp_path_factory.mktemp("mined")
    mine(mine_config(world, small_clip, output))
    return output
