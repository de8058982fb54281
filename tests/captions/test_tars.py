"""Image–text tars as other people make them, and as nobody should: every image is accounted for."""

import io
import json
import os
import tarfile
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captions import CaptionsConfig, open_captions, read_image
from pipeline.captions.tar_members import LONGEST_TEXT
from pipeline.captions.webdataset import index_tar
from pipeline.errors import UserError
from schemas import LISTING

Members = list[tuple[str, bytes]]


def write_tar(path: Path, members: Members, format: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def listed(path: Path, **options: str) -> list[dict]:
    batches = open_captions(CaptionsConfig("webdataset", str(path), **options)).batches()
    rows = pa.Table.from_batches(batches, LISTING).to_pylist()
    return [{k: v for k, v in row.items() if v is not None} for row in rows]


def captions(path: Path, **options: str) -> list[tuple]:
    """Id, then captions or what is wrong."""
    return [(row["image_id"], row.get("problem", row["captions"])) for row in listed(path, **options)]


def message(path: Path, **options: str) -> str:
    with pytest.raises(UserError) as caught:
        listed(path, **options)
    return str(caught.value)


def pictures(rows: list[dict]) -> dict[bytes, list[str]]:
    """The captions of each picture that is used, by its content."""
    return {
        read_image(row["image_uri"], row["byte_offset"], row["byte_length"]): row["captions"]
        for row in rows
        if "problem" not in row
    }


# Which member is the caption, which the picture


def test_the_caption_column_names_an_extension_or_a_key(tmp_path: Path) -> None:
    description = json.dumps({"text": ["a ball", "a box"], "url": "x"}).encode()
    tar = write_tar(tmp_path / "a.tar", [("1.jpg", b"1"), ("1.json", description), ("1.alt", b"an alt text")])
    assert captions(tar, caption_column="text") == [("1", ["a ball", "a box"])]
    assert captions(tar, caption_column="alt") == [("1", ["an alt text"])]
    text = message(tar)
    assert "1.jpg, 1.json, 1.alt (the JSON has 'text', 'url')" in text
    assert "KEY.txt" in text
    assert "'caption' in KEY.json" in text
    assert "captions.caption_column" in text
    for name in ("txt", "caption", "caption.txt"):
        write_tar(tar, [("1.jpg", b"1"), (f"1.{name}", b"a ball"), ("1.json", description)])
        assert captions(tar) == [("1", ["a ball"])]
        assert captions(tar, caption_column="text") == [("1", ["a ball", "a box"])]


def test_captions_that_are_lists_as_text(tmp_path: Path) -> None:
    def both(text: str) -> list:
        members = [("1.jpg", b"1"), ("1.txt", text.encode()), ("2.jpg", b"2"), ("3.jpg", b"3"), ("3.txt", b"good")]
        members.insert(3, ("2.json", json.dumps({"caption": text}).encode()))
        (_, one), (_, two), _ = captions(write_tar(tmp_path / "a.tar", members))
        assert one == two
        return one

    assert both('["a", "b"]') == ["a", "b"]
    assert both("['a']") == ["a"]
    assert both("[1, 2]") == "bad_text"
    assert both('{"a": 1}') == "bad_text"
    assert both("[removed]") == ["[removed]"]
    assert both("") == [""]


def test_names_in_two_parts(tmp_path: Path) -> None:
    sample = [("1.caption.txt", b"a ball"), ("1.image.jpg", b"picture"), ("1.seg.png", b"labels")]
    tar = write_tar(tmp_path / "a.tar", [*sample, ("2.seg.png", b"labels"), ("2.txt", b"whose?")])
    rows = listed(tar)
    assert pictures(rows) == {b"picture": ["a ball"]}
    assert [(row["image_id"], row.get("problem")) for row in rows] == [("1", None), ("2", "unclear_name")]


@pytest.mark.parametrize(
    "extension", ["jpg", "JPEG", "jpe", "jfif", "png", "webp", "bmp", "gif", "avif", "tif", "tiff", "ppm", "heic"]
)
def test_images_of_all_kinds_are_found(tmp_path: Path, extension: str) -> None:
    tar = write_tar(tmp_path / "a.tar", [(f"1.{extension}", b"1"), ("1.txt", b"a ball")])
    assert captions(tar) == [("1", ["a ball"])]


# Names


def test_a_name_that_is_there_twice_gives_no_picture_the_caption_of_another(tmp_path: Path) -> None:
    def read(*names: str) -> tuple[dict, list]:
        members = [(name, f"{index} {name}".encode()) for index, name in enumerate([*names, "b.jpg", "b.txt"])]
        rows = listed(write_tar(tmp_path / "a.tar", members))
        used = pictures(rows)
        assert used.pop(f"{len(names)} b.jpg".encode()) == [f"{len(names) + 1} b.txt"]
        return used, [(row["image_id"], row["problem"]) for row in rows if "problem" in row]

    pairs = read("a.jpg", "a.txt", "a.jpg", "a.txt")
    assert pairs == ({b"0 a.jpg": ["1 a.txt"]}, [("a", "listed_twice")])
    by_kind = read("a.jpg", "a.jpg", "a.txt", "a.txt")
    assert by_kind == ({}, [("a", "listed_twice")] * 2)
    mixed = read("a.jpg", "a.txt", "a.txt", "a.jpg")
    assert mixed == ({}, [("a", "listed_twice")] * 2)
    two_texts = read("a.jpg", "a.txt", "a.txt")
    assert two_texts == ({}, [("a", "listed_twice")])
    apart = read("a.jpg", "a.txt", "c.jpg", "c.txt", "a.jpg", "a.txt")
    assert apart == ({b"0 a.jpg": ["1 a.txt"], b"2 c.jpg": ["3 c.txt"]}, [("a", "listed_twice")])


def test_what_macs_and_pax_add_is_skipped(tmp_path: Path) -> None:
    added = ["./._1.jpg", "._1.txt", ".DS_Store", "__MACOSX/._1.jpg", "__MACOSX/1.jpg", "PaxHeaders.12/1.jpg", "._1"]
    members = [(name, b"Mac OS X") for name in added]
    members[2:2] = [("./1.jpg", b"1"), ("./1.txt", b"a ball")]
    assert pictures(listed(write_tar(tmp_path / "a.tar", members))) == {b"1": ["a ball"]}


def test_tars_of_another_form_are_explained(tmp_path: Path) -> None:
    by_kind = [(f"{number:04d}.{kind}", b"x") for kind in ("jpg", "txt") for number in range(1200)]
    text = message(write_tar(tmp_path / "a.tar", by_kind))
    assert "must follow one another" in text
    assert "tar --sort=name" in text
    dots = [(f"22.{number}.{kind}", b"x") for number in range(3) for kind in ("jpg", "txt")]
    text = message(write_tar(tmp_path / "a.tar", dots))
    assert "22.0.jpg, 22.0.txt, 22.1.jpg" in text
    assert "cut at its first dot" in text
    text = message(write_tar(tmp_path / "a.tar", [("a.pdf", b"x"), ("a.txt", b"x")]))
    assert "a.pdf, a.txt" in text


def test_images_whose_names_have_dots_are_all_counted(tmp_path: Path) -> None:
    dots = [(f"22.{number}.{kind}", b"x") for number in range(3) for kind in ("jpg", "txt")]
    rows = listed(write_tar(tmp_path / "a.tar", [*dots, ("3.jpg", b"x"), ("3.txt", b"good")]))
    assert [row["image_uri"].split("::")[0] for row in rows if row.get("problem") == "unclear_name"] == [
        f"tar://22.{number}.jpg" for number in range(3)
    ]


def test_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    names = [os.fsdecode(b"\xb9\xb7"), os.fsdecode(b"\xb9\xb8"), "è"]
    for format in (tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT):
        members = [(f"{name}.{kind}", kind.encode()) for name in names for kind in ("jpg", "txt")]
        rows = listed(write_tar(tmp_path / "a.tar", members, format))
        assert [row["image_id"] for row in rows] == ["\\xb9\\xb7", "\\xb9\\xb8", "è"]
        assert pictures(rows) == {b"jpg": ["txt"]}
    os.rename(tmp_path / "a.tar", tmp_path / os.fsdecode(b"\xb9.tar"))
    text = message(tmp_path)
    assert text.encode()
    assert "is not UTF-8; rename the file" in text


@pytest.mark.parametrize(
    "name",
    [
        "reference://a::http://127.0.0.1:9/ref.json::/x",
        "/etc/passwd",
        "../../a",
        "a:",
        "a::",
        "zip://a::b",
        "deep/" * 60 + "a",
    ],
)
def test_a_name_is_a_label_and_is_never_opened(tmp_path: Path, name: str) -> None:
    tar = write_tar(tmp_path / "a.tar", [(f"{name}.jpg", b"picture"), (f"{name}.txt", b"a ball")])
    (row,) = listed(tar)
    assert row["image_uri"].partition("::")[2] == str(tar)
    assert pictures([row]) == {b"picture": ["a ball"]}


def test_tars_inside_an_archive_are_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("1.jpg", b"x"), ("1.txt", b"a ball")])
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(tmp_path / "a.tar", "a.tar")
    with pytest.raises(UserError, match=r"^captions\.path: .* is inside an archive"):
        open_captions(CaptionsConfig("webdataset", f"zip://a.tar::{tmp_path}/b.zip"))


# Content


def test_texts_of_any_size_and_json_of_any_kind_cost_their_sample(tmp_path: Path) -> None:
    texts = {
        "long": ("txt", b"a" * (LONGEST_TEXT + 1)),
        "digits": ("json", b'{"caption": "a", "width": ' + b"1" * 5000 + b"}"),
        "deep": ("json", b"[" * 100_000),
        "latin": ("txt", b"caf\xe9"),
        "list": ("json", b'["caption"]'),
    }
    members = [("good.jpg", b"x"), ("good.json", b'{"caption": "a", "width": NaN, "height": true}')]
    for key, (extension, content) in texts.items():
        members += [(f"{key}.jpg", b"x"), (f"{key}.{extension}", content)]
    found = captions(write_tar(tmp_path / "a.tar", members))
    assert dict(found) == dict.fromkeys(texts, "bad_text") | {"good": ["a"]}
    (good,) = [row for row in listed(tmp_path / "a.tar") if "problem" not in row]
    assert not {"width", "height"} & set(good)


def test_links_and_sparse_files_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in (("1.jpg", b"x"), ("1.txt", b"a ball")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, kind in (("2.jpg", tarfile.LNKTYPE), ("3.jpg", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
            info = tarfile.TarInfo(name.replace("jpg", "txt"))
            info.type, info.linkname = kind, "1.txt"
            tar.addfile(info)
        info = tarfile.TarInfo("4.jpg")
        info.size = 1024
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**40)}
        data = b"1\n0\n512\n".ljust(512, b"\0") + bytes(512)
        tar.format = tarfile.PAX_FORMAT
        tar.addfile(info, io.BytesIO(data))
    assert captions(path) == [("1", ["a ball"]), ("2", "no_plain_file"), ("3", "no_plain_file"), ("4", "no_plain_file")]


# Headers that no program writes


def header(name: str, size: int, kind: bytes = b"0") -> bytes:
    """A header with a size in base 256, which may be negative or huge."""
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (b"\x80" if size >= 0 else b"\xff") + size.to_bytes(11, "big", signed=True)
    block[156:157] = kind
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("size", [-1, -512, -1024, -(2**40), 2**30, 2**44, 2**63, 2**80])
@pytest.mark.parametrize("kind", [b"0", b"1", b"5", b"L", b"K", b"x", b"g", b"S", b"V"])
def test_sizes_that_lead_nowhere_end_the_tar(tmp_path: Path, size: int, kind: bytes) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.jpg", b"x"), ("1.txt", b"a ball")])
    start = path.read_bytes()[: 4 * 512]
    path.write_bytes(start + header("2.jpg", size, kind) + bytes(1024))
    first, *rest = captions(path)
    assert first == ("1", ["a ball"])
    # A folder's or a link's size means nothing, and a sparse file is not read anyhow.
    assert ("a.tar", "truncated_tar") in rest or ("2", "no_plain_file") in rest or kind in b"15V"


def test_nothing_is_read_for_a_header_of_any_length(tmp_path: Path) -> None:
    size = 3 * LONGEST_TEXT
    (tmp_path / "a.tar").write_bytes(header("long", size, b"L") + b"a" * size + header("1.jpg", 0) + bytes(1024))
    assert captions(tmp_path / "a.tar") == [("a.tar", "truncated_tar")]
    many = b"".join(header("x", 0, b"x") for _ in range(5000))
    (tmp_path / "a.tar").write_bytes(many + bytes(1024))
    assert captions(tmp_path / "a.tar") == [("a.tar", "truncated_tar")]
    (tmp_path / "a.tar").write_bytes(b"")
    assert captions(tmp_path / "a.tar") == [("a.tar", "truncated_tar")]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_whatever_is_changed_in_a_tar_costs_at_most_the_rest_of_it(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    with tempfile.TemporaryDirectory() as folder:
        members = [("é" * 70 + ".jpg", b"1"), ("2.jpg", b"2"), ("2.json", b'{"caption": "a"}'), ("3.txt", b"b")]
        path = write_tar(Path(folder) / "a.tar", members, format)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            index = data.draw(st.integers(0, 10 * 512))
            change = data.draw(st.sampled_from([b"\0", b"\xff", b"9", b"-1", b"99999999999 ", b"=", b"\n", b"x", b"S"]))
            content[index : index + len(change)] = change
            start = index // 512 * 512
            # With a checksum that fits, or the change would be noticed by everybody.
            block = content[start : start + 512]
            block[148:156] = b"        "
            content[start + 148 : start + 156] = b"%06o\0 " % sum(block)
        path.write_bytes(content)
        rows = index_tar(str(path))
        pa.RecordBatch.from_pylist(rows, LISTING)
        for row in rows:
            assert row["image_id"].encode()
            if row["problem"] is None:
                assert row["byte_offset"] + row["byte_length"] <= len(content)


# Accounting


KEYS = st.sampled_from(["a", "b", "c/a", "d"])
KINDS = st.sampled_from(["jpg", "txt", "json", "cls"])


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(KEYS, KINDS), min_size=1, max_size=14))
def test_every_image_is_accounted_once_and_keeps_its_own_caption(parts: list[tuple[str, str]]) -> None:
    members = [
        (
            f"{key}.{kind}",
            json.dumps({"caption": f"{index} {key}"}).encode() if kind == "json" else f"{index} {key}".encode(),
        )
        for index, (key, kind) in enumerate(parts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        rows = index_tar(str(write_tar(Path(folder) / "a.tar", members)))
        images = [row for row in rows if row["problem"] != "no_image"]
        assert Counter(row["image_id"] for row in images) == Counter(key for key, kind in parts if kind == "jpg")
        for row in images:
            if row["problem"] is None:
                index, key = read_image(row["image_uri"], row["byte_offset"], row["byte_length"]).decode().split(" ")
                for caption in row["captions"]:
                    other, of = caption.split(" ")
                    low, high = sorted((int(index), int(other)))
                    assert of == key == row["image_id"]
                    # Nothing of another sample stands between the picture and its caption, and no second picture.
                    between = parts[low + 1 : high]
                    assert all(part[0] == key and part[1] != "jpg" for part in between)


def test_the_headers_made_above_are_headers(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(header("1.jpg", 1) + b"x".ljust(512, b"\0") + bytes(1024))
    assert [row["problem"] for row in index_tar(str(tmp_path / "a.tar"))] == ["no_text"]
