"""Fixtures shared by all tests."""

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

from tests.forked_workers import environment

pytest_plugins = ["tests.browser", "tests.hub", "tests.s3"]

# Set before any test imports torch, numpy or Ray: few cores are shared by many processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray Train's controller looks at its workers every two seconds, and takes one report of each at a time.
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.1")
# Ray's workers are nice to other programs (15), so the tests of the other process would take nearly all of the cores.
os.environ.setdefault("RAY_worker_niceness", "0")

if "PYTEST_XDIST_WORKER" not in os.environ:
    # No test finds what an earlier run left in the user's cache folder, or leaves something there.
    _cache = tempfile.TemporaryDirectory(prefix="ovseg-cache-", ignore_cleanup_errors=True)
    os.environ["XDG_CACHE_HOME"] = _cache.name

# Shells let what they start in the background ignore Ctrl-C, and children inherit that; jobs have to end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    faults = "how often tests/faults/test_soak.py disturbs a job; tests/hostile tries a hundred files for each"
    parser.addoption("--faults", type=int, default=8, help=faults)
    parser.addoption("--seed", type=int, default=1, help="which faults and files these are, and when")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: processes that share the tests (`-n 2 --dist loadfile`) then end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


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
def shared_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes that share the tests."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def forked_workers(shared_base: Path) -> dict[str, str]:
    """Variables with which Ray's workers start sooner."""
    return environment(shared_base)


@pytest.fixture(scope="session")
def ray_cluster(forked_workers: dict[str, str]):
    """One Ray instance for all tests that run in this process."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        for name, value in forked_workers.items():
            patch.setenv(name, value)
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def made_once(shared_base: Path) -> Callable[[str, Callable[[Path], object]], Path]:
    """A folder of this name, filled by the first of the processes that share the tests; the others wait for it."""

    def folder_of(name: str, fill: Callable[[Path], object]) -> Path:
        folder, filled = shared_base / name, shared_base / f"{name}.filled"
        with FileLock(shared_base / f"{name}.lock"):
            if not filled.exists():
                shutil.rmtree(folder, ignore_errors=True)  # where another one failed
                folder.mkdir()
                fill(folder)
                filled.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def world(made_once) -> Path:
    """24 scenes of the micro world in COCO format. Tests only read it."""
    from pipeline.microworld.world import write_world

    return made_once("world", lambda folder: write_world(folder, images=24, seed=5))


@pytest.fixture(scope="session")
def small_clip(world: Path, made_once) -> str:
    """A small CLIP, hardly trained, as an open_clip `local-dir:`."""
    from tests.small_clip import build_small_clip

    folder = made_once(
        "small-clip", lambda folder: build_small_clip(world / "instances.json", world / "images", folder, steps=2)
    )
    return f"local-dir:{folder}"


@pytest.fixture(scope="session")
def mined(world: Path, small_clip: str, ray_cluster: None, made_once) -> Path:
    """The dataset that an undisturbed job mines from `world`. Tests only read it."""
    from pipeline.mining.run import mine
    from tests.mining.configs import mine_config

    return made_once("mined", lambda folder: mine(mine_config(world, small_clip, folder)))
