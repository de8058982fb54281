"""Local disk in trouble: killed writers, full disks, permissions."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import storage
from tests.storage.sizes import MIB


def test_a_writer_killed_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "place" / "000000.tar"
    storage.write_bytes(str(target), b"old")
    os.mkfifo(tmp_path / "source")  # blocks the copy when half of it is there
    code = "import sys; from pipeline import storage; storage.upload(*sys.argv[1:])"
    writer = subprocess.Popen([sys.executable, "-c", code, tmp_path / "source", target])
    with open(tmp_path / "source", "wb", buffering=0) as source:
        source.write(b"half of the new content")
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert target.read_bytes() == b"old"
    assert storage.list_names(str(tmp_path / "place")) == ["000000.tar"]
    assert list((tmp_path / "place").glob("*.tar")) == [target]
    storage.remove_leftovers(str(tmp_path / "place"))
    assert os.listdir(tmp_path / "place") == ["000000.tar"]


def test_a_file_that_does_not_fit_leaves_nothing_and_the_old_one(tmp_path: Path) -> None:
    storage.write_bytes(str(tmp_path / "file"), b"old")
    code = (
        "import resource, sys; from pipeline import storage\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: storage.write_bytes(sys.argv[1], bytes(200_000))\n"
        "except OSError as error: print(error)"
    )
    command = [sys.executable, "-c", code, tmp_path / "file"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large" in result.stdout
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_full_disk_leaves_nothing_and_the_old_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        storage.write_bytes(str(disk / "file"), b"old")
        with pytest.raises(OSError, match="No space left on device"):
            storage.write_bytes(str(disk / "file"), bytes(2 * MIB))
        assert os.listdir(disk) == ["file"]
        assert (disk / "file").read_bytes() == b"old"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_directory_without_permission_is_found_by_the_check(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o111)
    (tmp_path / "locked").mkdir(mode=0o555)
    (tmp_path / "closed").mkdir(mode=0o000)
    code = (
        "import os, sys; from pipeline import errors; from pipeline.storage import check_readable, check_writable\n"
        "if os.geteuid() == 0: os.setuid(65534)  # root may write anywhere\n"
        "checks = (check_writable, 'locked/new'), (check_readable, 'closed')\n"
        "for check, path in checks:\n"
        "    try: check(sys.argv[1] + '/' + path, 'output')\n"
        "    except errors.UserError as error: print(error)"
    )
    command = [sys.executable, "-c", code, tmp_path]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.count("output: ") == 2, result.stderr
    assert "no permission to write there" in result.stdout
    assert "no permission to read it" in result.stdout


def test_new_files_have_the_permissions_that_the_umask_gives(tmp_path: Path) -> None:
    storage.write_bytes(str(tmp_path / "ours"), b"")
    (tmp_path / "theirs").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode
