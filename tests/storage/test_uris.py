"""What a URI or a path means, and what is wrong with it."""

import pwd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.errors import UserError


@given(st.lists(st.text("ab.", min_size=1), min_size=1), st.sampled_from(["s3://b", "memory://"]))
def test_join_puts_parts_behind_the_path_and_before_the_archive(parts: list, root: str) -> None:
    path = "/".join(parts)
    assert storage.join(root, *parts) == root.removesuffix("/").rstrip("/") + (
        f"//{path}" if root == "memory://" else f"/{path}"
    )
    assert storage.join("zip://x/::s3://b/y.zip", *parts) == f"zip://x/{path}::s3://b/y.zip"
    assert storage.join("zip://::y.zip", *parts) == f"zip://{path}::y.zip"


def test_unknown_protocols_and_read_only_ones_are_refused_by_key() -> None:
    with pytest.raises(UserError, match=r"^output: .*Protocol not known: s4"):
        storage.check_writable("s4://bucket/x", "output")
    with pytest.raises(UserError, match=r"^output: .*https is read only"):
        storage.check_writable("https://host/x", "output")
    with pytest.raises(UserError, match=r"^output: .*no bucket"):
        storage.check_writable("s3://", "output")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("data/out", "/here/data/out"),
        ("/data/out", "/data/out"),
        ("s3://bucket/out", "s3://bucket/out"),
        ("zip://train::images.zip", "zip://train::/here/images.zip"),
        ("zip://train::s3://b/images.zip", "zip://train::s3://b/images.zip"),
        ("shards/{00000..00009}.tar", "/here/shards/{00000..00009}.tar"),
    ],
)
def test_local_paths_become_absolute(uri, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert storage.absolute(uri) == expected.replace("/here", str(tmp_path))
    assert storage.is_absolute(storage.absolute(uri))
    assert storage.is_absolute(uri) == (storage.absolute(uri) == uri)


def test_the_home_directory_is_meant_by_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert storage.absolute("~/out") == f"{tmp_path}/out"
    assert storage.absolute("~") == str(tmp_path)
    assert storage.absolute("~root/out") == f"{pwd.getpwnam('root').pw_dir}/out"
    assert storage.absolute("zip://train::~/a.zip") == f"zip://train::{tmp_path}/a.zip"
    assert storage.absolute("s3://bucket/~/out") == "s3://bucket/~/out"
    assert storage.is_absolute("~/out")
    assert storage.is_absolute("zip://train::~/a.zip")
    with pytest.raises(UserError, match=r"^~nobody-of-that-name/out: no user .*write \./~nobody"):
        storage.absolute("~nobody-of-that-name/out")
    assert storage.absolute("./~nobody-of-that-name").endswith("/~nobody-of-that-name")


@pytest.mark.parametrize("check", [storage.check_readable, storage.check_writable])
@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_what_is_blank_is_said_by_its_key(check, blank):
    with pytest.raises(UserError, match=r"^output is empty"):
        check(storage.absolute(blank), "output")


@pytest.mark.parametrize(
    ("name", "wrong"), [("a" * 256, "256 bytes"), ("ü" * 150, "300 bytes"), ("a/" * 2000, "longer"), ("a\0b", "null")]
)
def test_names_that_no_folder_can_have_are_said_by_their_key(name, wrong, tmp_path):
    with pytest.raises(UserError, match=rf"^output: .*{wrong}"):
        storage.check_writable(f"{tmp_path}/{name}", "output")
    storage.check_writable(f"{tmp_path}/{'ü' * 127}", "output")
