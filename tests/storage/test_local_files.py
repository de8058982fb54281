"""Files that libraries write through our filesystems appear whole or not at all."""

import os
import pickle
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.storage.local_files import ReplacingFileSystem


def test_what_arrow_writes_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(b"old")
    filesystem, inside = storage.arrow_filesystem(str(path))
    with filesystem.open_output_stream(inside) as file:
        file.write(b"new content")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new content"
    assert pickle.loads(pickle.dumps(filesystem)).get_file_info(inside).size == 11
    assert os.listdir(tmp_path) == ["list.json"]


def test_a_full_disk_leaves_the_old_content(tmp_path: Path) -> None:
    """`/dev/full` stands for the disk."""
    path = tmp_path / "list.json"
    path.write_bytes(b"old")
    file = ReplacingFileSystem().open(str(path), "wb")
    os.dup2(os.open("/dev/full", os.O_WRONLY), file._file.fileno())
    with pytest.raises(OSError, match="No space left"), file:
        file.write(bytes(1 << 20))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["list.json"]
