"""The cache of a node where somebody else was before: links, folders of others, folders that others may write into."""

import os
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from pipeline.errors import UserError
from pipeline.storage.own_folder import locked, open_new, own_folder
from pipeline.training.shard_files import ShardFiles
from pipeline.weights.fetching import fetch

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder to another user needs root")


def link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")


def of_another_user(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)


def mode(bits: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        folder.chmod(bits)

    return make


PLANTED = [
    (link, "symbolic link"),
    (Path.touch, "it is a file"),
    (mode(0o777), "others may write into it"),
    (mode(0o1777), "others may write into it"),
    (mode(0o770), "others may write into it"),
    pytest.param(of_another_user, r"another user \(uid 12345\)", marks=needs_root),
]


def test_a_folder_is_made_for_this_user_alone(tmp_path):
    folder = own_folder(tmp_path / "a" / "b", "key")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert own_folder(folder, "key") == folder


@pytest.mark.parametrize(("plant", "problem"), PLANTED)
def test_the_folder_of_shards(tmp_path, plant, problem):
    plant(tmp_path / "cache")
    with pytest.raises(UserError, match=rf"^data\.cache: .*cache.*{problem}"):
        ShardFiles("memory://mined", "", str(tmp_path / "cache"), 10**9)


@pytest.mark.parametrize(("plant", "problem"), PLANTED)
def test_the_folder_of_weights(tmp_path, monkeypatch, remote, plant, problem):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "ovseg").mkdir()
    plant(tmp_path / "ovseg" / "weights")
    with pytest.raises(UserError, match=rf"^XDG_CACHE_HOME: cannot use .*ovseg/weights: .*{problem}"):
        fetch(remote, "clip.weights")


@pytest.fixture(scope="module")
def remote() -> str:
    """A file that has to be fetched."""
    fsspec.filesystem("memory").pipe_file("/models/weights.pt", b"weights")
    return "memory://models/weights.pt"


@pytest.fixture
def victim(tmp_path) -> Path:
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


@pytest.mark.parametrize("suffix", ["", ".lock", ".partial"])
def test_links_among_cached_weights(tmp_path, monkeypatch, remote, victim, suffix):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = fetch(remote, "key")
    assert path.read_bytes() == b"weights"
    path.unlink()
    planted = Path(f"{path}{suffix}")
    planted.unlink(missing_ok=True)
    planted.symlink_to(victim)
    if suffix == ".partial":  # what a killed process may have left is replaced, the link and not what it leads to
        assert fetch(remote, "key").read_bytes() == b"weights"
    else:
        with pytest.raises(UserError, match=r"^XDG_CACHE_HOME: .*is no file of this program, but a link"):
            fetch(remote, "key")
    assert victim.read_text() == "precious"


def test_locks_neither_follow_links_nor_empty_files(tmp_path, victim):
    (tmp_path / "lock").symlink_to(victim)
    with (
        pytest.raises(UserError, match=r"^data\.cache: .*lock is no file of this program"),
        locked(tmp_path / "lock", "data.cache"),
    ):
        pass
    (tmp_path / "hard").hardlink_to(victim)
    with locked(tmp_path / "hard", "key") as mine:
        assert mine
        with locked(tmp_path / "hard", "key", wait=False) as again:
            assert not again
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="is no file of this program"), locked(tmp_path / "pipe", "key"):
        pass
    with open_new(tmp_path / "hard", "key") as file:
        file.write(b"new")
    assert victim.read_text() == "precious"
