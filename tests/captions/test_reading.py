"""Reading images whose addresses and files others have made: nothing but the image is reached, nothing is too large."""

import contextlib
import http.server
import io
import json
import os
import struct
import tarfile
import threading
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import schemas
from pipeline import storage
from pipeline.captions import CaptionsConfig, open_captions, read_image, write_listing
from pipeline.captions.webdataset import index_tar
from pipeline.dataset.layout import Layout
from pipeline.dataset.vocabulary import Vocabulary, vocabulary_table
from pipeline.images import ImageProblem, ImagesConfig
from pipeline.mining.steps.find_nouns import FindNouns
from pipeline.mining.steps.read_images import ReadImages
from pipeline.nouns import NounsConfig

LIMIT = 100_000


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "JPEG")
    return buffer.getvalue()


class Web(http.server.BaseHTTPRequestHandler):
    """Notes what is asked for. `/large`: more than LIMIT, said so; `/endless`: without an end; else a photograph."""

    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(200)
        if self.path == "/endless":
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(10_000))
            except OSError:
                return
        body = bytes(LIMIT + 1) if self.path == "/large" else jpeg()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            return

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    handler = type("Handler", (Web,), {"asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.asked = handler.asked
    server.root = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def problem(uri: str, offset: int | None = None, length: int | None = None) -> str:
    with pytest.raises(ImageProblem) as caught:
        read_image(uri, offset, length, LIMIT)
    return caught.value.reason


def test_no_address_reaches_the_environment(web, monkeypatch, tmp_path):
    """The attack: references whose templates ask for a secret of the worker."""
    monkeypatch.setenv("THE_SECRET", "sesame")
    references = {"version": 1, "templates": {"s": "{THE_SECRET}"}, "refs": {"a.jpg": [web.root + "/{{s}}"]}}
    (tmp_path / "ref.json").write_text(json.dumps(references))
    (tmp_path / "a.tar").write_bytes(jpeg())
    for chain in (f"reference://a.jpg::file://{tmp_path}/ref.json", f"reference://a.jpg::{web.root}/ref.json"):
        assert problem(chain) == "refused_address"
        assert problem(f"zip://a.jpg::{chain}") == "refused_address"
        # Inside a tar it is a name like any other: the tar is read, by offset.
        assert read_image(f"tar://{chain}::{tmp_path}/a.tar", 0, len(jpeg())) == jpeg()
    for other in ("ftp://127.0.0.1/a.jpg", "github://o:r@main/a", "filecache://a", f"simplecache::{web.root}/a.jpg"):
        assert problem(other) in ("refused_address", "secret_in_address")
    assert web.asked == []


def test_a_member_of_any_name_is_read_by_its_place(tmp_path):
    name = "reference://a::b::c"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for suffix, content in ((".jpg", jpeg()), (".txt", b"a dog")):
            info = tarfile.TarInfo(name + suffix)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    [row] = index_tar(str(tmp_path / "a.tar"))
    assert read_image(row["image_uri"], row["byte_offset"], row["byte_length"]) == jpeg()
    assert problem(row["image_uri"], 0, LIMIT + 1) == "too_many_bytes"


def test_files_are_measured_before_they_are_read(tmp_path):
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(2**40)
    (tmp_path / "just").write_bytes(bytes(LIMIT))
    with pytest.raises(ImageProblem, match=rf"too_many_bytes: {2**40} bytes, images\.max_bytes is {LIMIT}"):
        read_image(str(tmp_path / "sparse"), None, None, LIMIT)
    assert len(read_image(str(tmp_path / "just"), None, None, LIMIT)) == LIMIT
    os.mkfifo(tmp_path / "pipe")
    for no_file in ("pipe", "", "none"):
        with pytest.raises(FileNotFoundError):
            read_image(str(tmp_path / no_file), None, None, LIMIT)
    with pytest.raises(FileNotFoundError):
        read_image("/dev/zero", None, None, LIMIT)


@pytest.mark.parametrize("path", ["/large", "/endless"])
def test_answers_of_web_servers_are_bounded(web, path):
    assert problem(web.root + path) == "too_many_bytes"
    assert read_image(web.root + "/a.jpg", None, None, LIMIT) == jpeg()


def zip_of(path: Path, content: bytes, stated: int | None = None) -> str:
    """An archive with one packed member, "a", whose headers say that it has `stated` bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", content)
    if stated is not None:
        data = path.read_bytes()
        path.write_bytes(data.replace(struct.pack("<L", len(content)), struct.pack("<L", stated)))
    return f"zip://a::{path}"


def test_a_zip_member_is_never_unpacked_beyond_the_limit(tmp_path):
    honest = zip_of(tmp_path / "honest.zip", bytes(50 * 2**20))
    liar = zip_of(tmp_path / "liar.zip", bytes(51 * 2**20), stated=LIMIT)
    tracemalloc.start()
    try:
        assert problem(honest) == "too_many_bytes"
        with pytest.raises(zipfile.BadZipFile, match=f"unpacks to more than the {LIMIT} bytes"):
            read_image(liar, None, None, LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert len(read_image(honest, None, None, 50 * 2**20)) == 50 * 2**20


@pytest.mark.parametrize("stated", [0, 10, 2**32 - 2])
def test_a_zip_member_of_another_size_than_stated_is_damaged(tmp_path, stated):
    with pytest.raises(zipfile.BadZipFile):
        storage.read_bytes(zip_of(tmp_path / "a.zip", b"x" * 3000, stated))


def test_a_damaged_directory_of_a_zip_archive_is_said(tmp_path):
    """Every field of the directory and of its end set to ones, one after the other: an answer, or BadZipFile."""
    zip_of(tmp_path / "whole.zip", jpeg())
    whole = (tmp_path / "whole.zip").read_bytes()
    start = whole.index(b"PK\1\2")
    for offset in range(start + 4, len(whole) - 1, 2):
        path = tmp_path / f"{offset}.zip"
        path.write_bytes(whole[:offset] + b"\xff\xff" + whole[offset + 2 :])
        with contextlib.suppress(zipfile.BadZipFile, FileNotFoundError):
            assert storage.read_bytes(f"zip://a::{path}") == jpeg()


@pytest.mark.parametrize("name", ["[a].jpg", "a?b*.jpg", "100%25 #1.jpg", "~.jpg", "ü,{1..2};=+&.jpg"])
def test_names_are_taken_at_their_word(tmp_path, name):
    (tmp_path / name).write_bytes(b"image")
    (tmp_path / "a.jpg").write_bytes(b"other")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(f"in/{name}", b"image")
    pq.write_table(pa.table({"image": [name], "caption": ["a"]}), tmp_path / "t.parquet")
    for images in (tmp_path, f"zip://in::{tmp_path}/a.zip"):
        config = CaptionsConfig("table", str(tmp_path / "t.parquet"), images=str(images))
        [row] = pa.Table.from_batches(open_captions(config).batches()).to_pylist()
        assert read_image(row["image_uri"], None, None) == b"image"


def test_a_backslash_is_a_slash_where_the_name_as_it_is_does_not_exist(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"in the folder")
    (tmp_path / "in\\b.jpg").write_bytes(b"with a backslash")
    (tmp_path / "in" / "b.jpg").write_bytes(b"in the folder")
    assert read_image(f"{tmp_path}/in\\a.jpg", None, None) == b"in the folder"
    assert read_image(f"{tmp_path}/in\\b.jpg", None, None) == b"with a backslash"
    with pytest.raises(FileNotFoundError):
        read_image(f"{tmp_path}/in\\c.jpg", None, None)


def mined_rows(tmp_path: Path, names: list[str], **options: object) -> tuple[list[dict], list[dict], dict]:
    """Rows of the captions table, rejects, and widths of images read by id, of one shard of a table of names."""
    tmp_path.mkdir(exist_ok=True)
    ids = [str(number) for number in range(len(names))]
    pq.write_table(pa.table({"id": ids, "image": names, "caption": ["a dog"] * len(names)}), tmp_path / "t.parquet")
    layout = Layout(str(tmp_path / "out"))
    config = CaptionsConfig("table", str(tmp_path / "t.parquet"), id_column="id", **options)
    write_listing(open_captions(config), layout.uri, 100)
    FindNouns(layout, 1, NounsConfig())(0)
    vocabulary = Vocabulary(vocabulary_table(["dog"], [1], np.ones((1, 4), np.float32)))
    shard = ReadImages(layout, ImagesConfig(max_bytes=LIMIT), vocabulary)(0, announce=lambda image: None)
    assert all(image.address is None for image in shard.images)
    read = {image.row["image_id"]: image.jpeg.width for image in shard.remaining()}
    return storage.read_table(layout.table("captions", 0)).to_pylist(), shard.rejects, read


def test_a_signature_is_used_and_shown_in_the_listing_alone(web, tmp_path):
    names = [f"{web.root}/1.jpg?X-Amz-Signature=sesame", f"{web.root}/large?x=…", f"{web.root}/large"]
    rows, rejects, read = mined_rows(tmp_path, names)
    assert read == {"0": 40, "1": 40}
    assert [row["image_uri"] for row in rows] == [f"{web.root}/1.jpg?X-Amz-Signature=…", *names[1:]]
    assert [(reject["image_id"], reject["reason"]) for reject in rejects] == [("2", "too_many_bytes")]
    assert "/1.jpg?X-Amz-Signature=sesame" in web.asked
    tables = list((tmp_path / "out").rglob("*.parquet"))
    telling = [path.parent.name for path in tables if "sesame" in str(pq.read_table(path).to_pylist())]
    assert telling == ["listing"]
    assert "sesame" not in str(rejects)


def test_an_error_of_a_web_server_does_not_tell_the_signature(tmp_path):
    _, [reject], _ = mined_rows(tmp_path, ["http://127.0.0.1:1/1.jpg?token=sesame"])
    assert reject["reason"] == "unreachable"
    assert "sesame" not in str(reject)


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_a_bucket_that_is_not_ours_costs_its_images(s3, s3_uri, tmp_path):
    storage.write_bytes(f"{s3_uri}/good.jpg", jpeg())
    storage.write_bytes(f"{s3_uri}/large.jpg", bytes(LIMIT + 1))
    storage.write_bytes(f"{s3_uri}/empty.jpg", b"")
    names = [f"{s3_uri}/{name}.jpg" for name in ("good", "large", "gone")]
    _, rejects, read = mined_rows(
        tmp_path, [*names, "s3://no-such-bucket/a.jpg", "s3://?/a.jpg", f"{s3_uri}/empty.jpg"]
    )
    assert read == {"0": 40}
    assert {reject["image_id"]: reject["reason"] for reject in rejects} == {
        "1": "too_many_bytes", "2": "missing_file", "3": "unreachable", "4": "missing_file",
        "5": "empty_file",
    }  # fmt: skip
    # Where nothing else can be read, it is the storage that is wrong.
    with pytest.raises(OSError, match="bucket does not exist"):
        mined_rows(tmp_path / "alone", ["s3://no-such-bucket/a.jpg"])


def test_a_forbidden_file_costs_itself(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("good.jpg", "forbidden.jpg"):
        (folder / name).write_bytes(jpeg())
    (folder / "forbidden.jpg").chmod(0)
    if os.access(folder / "forbidden.jpg", os.R_OK):
        pytest.skip("root may read everything")
    _, [reject], read = mined_rows(tmp_path, [str(folder / "good.jpg"), str(folder / "forbidden.jpg")])
    assert read == {"0": 40}
    assert (reject["image_id"], reject["reason"]) == ("1", "unreachable")


def test_an_edited_table_reaches_nothing_else(tmp_path):
    """A captions table of somebody else, with an address that no listing of ours would hold."""
    (tmp_path / "a.jpg").write_bytes(jpeg())
    mined_rows(tmp_path, [str(tmp_path / "a.jpg")])
    layout = Layout(str(tmp_path / "out"))
    [row] = storage.read_table(layout.table("captions", 0)).to_pylist()
    row["image_uri"] = "ftp://127.0.0.1/a.jpg"
    storage.write_table(pa.Table.from_pylist([row], schemas.CAPTIONS), layout.table("captions", 0))
    vocabulary = Vocabulary(vocabulary_table(["dog"], [1], np.ones((1, 4), np.float32)))
    shard = ReadImages(layout, ImagesConfig(), vocabulary)(0, announce=lambda image: None)
    assert [reject["reason"] for reject in shard.rejects] == ["refused_address"]
