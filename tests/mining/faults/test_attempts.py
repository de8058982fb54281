"""Who is blamed when workers die. A death is an attempt whose record nobody took away."""

import contextlib

import pytest

from pipeline.dataset.layout import Layout
from pipeline.images import ImageProblem
from pipeline.mining.faults.attempts import DEATHS, Attempt


def die(layout: Layout, run: str, announced: list[int | tuple[int, ...]]) -> None:
    """An attempt that dies after announcing these images or groups of images, the last of them under its hands."""
    attempt = Attempt(layout, run, "matching", 3)
    attempt.__enter__()
    for images in announced:
        attempt.announce(*(images if isinstance(images, tuple) else (images,)))


def condemned(layout: Layout, run: str, images: int = 6) -> dict[int, str]:
    """The images that the next attempt refuses, with the reason."""
    refused = {}
    with Attempt(layout, run, "matching", 3) as attempt:
        for image in range(images):
            try:
                attempt.announce(image)
            except ImageProblem as problem:
                refused[image] = problem.reason
    return refused


def test_an_image_is_condemned_after_it_was_announced_at_several_deaths(tmp_path):
    layout = Layout(str(tmp_path))
    die(layout, "run", [0, 1, 2, 4])  # the first death blames nobody: nothing was noted yet
    for _ in range(DEATHS):
        die(layout, "run", [0, 1, 2, 4])
    assert condemned(layout, "run") == {4: "kills_worker"}
    assert not list((tmp_path / "attempts").iterdir())
    assert condemned(layout, "run") == {}  # a finished attempt clears the memory


def test_deaths_at_different_images_condemn_none(tmp_path):
    layout = Layout(str(tmp_path))
    for image in (1, 1, 2, 3, 2, 4):
        die(layout, "run", [0, image])
    assert condemned(layout, "run") == {}


def test_of_images_announced_together_only_the_poisonous_one_is_condemned(tmp_path):
    layout = Layout(str(tmp_path))
    for _ in range(2):  # the first death is not noted
        die(layout, "run", [(0, 1), (2, 3, 4)])
    for _ in range(DEATHS - 1):
        attempt = Attempt(layout, "run", "matching", 3)
        attempt.__enter__()
        attempt.announce(0, 1)
        with pytest.raises(ImageProblem, match="in_doubt"):
            attempt.announce(2, 3, 4)
        attempt.announce(2)
        attempt.announce(3)
    assert condemned(layout, "run") == {3: "kills_worker"}


def test_two_poisonous_images_are_both_found(tmp_path):
    layout = Layout(str(tmp_path))
    for last in [5, *[2] * DEATHS]:
        die(layout, "run", [0, last])
    for _ in range(DEATHS):
        attempt = Attempt(layout, "run", "matching", 3)
        attempt.__enter__()
        with pytest.raises(ImageProblem):
            attempt.announce(2)
        attempt.announce(5)
    assert condemned(layout, "run") == {2: "kills_worker", 5: "kills_worker"}


def test_the_deaths_of_another_run_are_not_counted(tmp_path):
    layout = Layout(str(tmp_path))
    for number in range(5):
        die(layout, f"run {number}", [0, 1])
    assert condemned(layout, "now") == {}


def test_an_exception_is_not_a_death(tmp_path):
    layout = Layout(str(tmp_path))
    for _ in range(6):
        with contextlib.suppress(OSError), Attempt(layout, "run", "matching", 3) as attempt:
            attempt.announce(1)
            raise OSError("disk full")
    assert condemned(layout, "run") == {}
