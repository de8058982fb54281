"""Members of zip archives, whole and damaged."""

import io
import os
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.errors import UserError


def test_zip_members_are_read_like_files(place: str) -> None:
    members = {f"images/{i}.jpg": os.urandom(i * 100) for i in range(5)} | {"top": b"y" * 5000}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, (name, content) in enumerate(members.items()):
            method = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number % 2]
            archive.writestr(name, content, method)
    archive_uri = storage.join(place, "images.zip")
    storage.write_bytes(archive_uri, packed.getvalue())
    root = f"zip://::{archive_uri}"
    for name, content in members.items():
        assert storage.read_bytes(storage.join(root, name)) == content
        assert storage.read_bytes(storage.join(root, name), 10, 20) == content[10:20]
        assert storage.exists(storage.join(root, name))
    assert storage.list_names(f"zip://images::{archive_uri}") == [f"{i}.jpg" for i in range(5)]
    assert storage.exists(f"zip://images::{archive_uri}")
    assert not storage.exists(f"zip://image::{archive_uri}")
    storage.check_readable(f"zip://images::{archive_uri}", "captions.images")
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(f"zip://images/9.jpg::{archive_uri}")
    with pytest.raises(UserError, match=r"^captions\.images: .*nothing is there"):
        storage.check_readable(f"zip://val::{archive_uri}", "captions.images")
    with pytest.raises(UserError, match=r"^output: .*zip is read only"):
        storage.check_writable(root, "output")


def test_a_damaged_zip_member_is_told_from_broken_storage(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bad", os.urandom(1000))
        archive.writestr("good", b"good")
    content = bytearray(path.read_bytes())
    content[300] ^= 255
    path.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile):
        storage.read_bytes(f"zip://bad::{path}")
    assert storage.read_bytes(f"zip://good::{path}") == b"good"
    (tmp_path / "no.zip").write_bytes(b"not a zip archive")
    with pytest.raises(UserError, match=r"^captions\.images: .*not a zip file"):
        storage.check_readable(f"zip://::{tmp_path / 'no.zip'}", "captions.images")


def test_a_zip_member_with_a_long_local_header_is_read(tmp_path: Path) -> None:
    """The extra field before the data may be longer than the directory's (APPNOTE 4.3)."""
    content, name, extra = (
        b"content" * 100,
        b"name",
        b"\x99\x99" + struct.pack("<H", 596) + bytes(596),
    )
    sizes = struct.pack("<LLL", zlib.crc32(content), len(content), len(content))
    versions = struct.pack("<HHHHH", 20, 0, 0, 0, 33)
    local = b"PK\3\4" + versions + sizes + struct.pack("<HH", len(name), len(extra))
    local += name + extra + content
    entry = b"PK\1\2" + struct.pack("<H", 20) + versions + sizes
    entry += struct.pack("<HHHHHLL", len(name), 0, 0, 0, 0, 0, 0) + name
    end = b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(entry), len(local), 0)
    path = tmp_path / "a.zip"
    path.write_bytes(local + entry + end)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("name") == content  # the archive is a valid one
    assert storage.read_bytes(f"zip://name::{path}") == content
