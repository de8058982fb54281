"""Rows of tars as img2dataset writes them, whole and damaged."""

import tarfile
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.captions import CaptionsConfig, open_captions, read_image
from pipeline.errors import UserError
from tests.captions.sources import bad, good, rows_of, sample, write_tar


def without_offsets(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if not name.startswith("byte_")} for row in rows]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_img2dataset_tars_are_listed_and_read_by_range(tmp_path: Path, format: int) -> None:
    contents = {}
    for tar in range(3):
        members = []
        for number in range(20):
            key = f"{tar:05d}{number:04d}"
            contents[key] = key.encode() * number
            members += sample(key, contents[key], f"ü {key}", ["jpg", "png", "webp"][number % 3])
        write_tar(tmp_path / f"{tar:05d}.tar", members, format)
        (tmp_path / f"{tar:05d}.parquet").write_bytes(b"img2dataset puts one here")
        (tmp_path / f"{tar:05d}_stats.json").write_text("{}")
    expected = None
    for path in (tmp_path, tmp_path / "*.tar", tmp_path / "{00000..00002}.tar"):
        rows = rows_of(CaptionsConfig("webdataset", str(path)))
        assert expected in (None, rows)
        expected = rows
    assert [row["image_id"] for row in rows] == sorted(contents)
    for row in rows:
        assert row["captions"] == [f"ü {row['image_id']}"]
        assert (row["width"], row["height"]) == (4, 3)
        image = read_image(row["image_uri"], row["byte_offset"], row["byte_length"])
        assert image == contents[row["image_id"]]
        # The address alone is one that fsspec understands.
        assert storage.read_bytes(row["image_uri"]) == image


def test_samples_that_fit_nowhere_stay_in_the_listing(tmp_path: Path) -> None:
    tar = tmp_path / "a.tar"
    write_tar(
        tar,
        [
            ("./e.JPG", b"e"),
            ("e.json", b'{"caption": ["one", "two"], "width": "wide"}'),
            *sample("d/x.y"),
            ("c.jpg", b"c"),
            ("c.txt", b"\xff"),
            ("b.txt", b"no image"),
            ("f.jpg", b"f"),
            ("f.json", b"{"),
            ("g.jpg", b"g"),
            ("g.json", b"[]"),
            ("h.jpg", b"h"),
            ("h.json", b"{}"),
            ("README", b"of another kind"),
            *sample("e", text="again"),
        ],
    )
    more = tmp_path / "b.tar"
    write_tar(more, sample("c") + sample("e", text="once more"))

    def uri(name: str, tar: Path = tar) -> str:
        return f"tar://{name}::{tar}"

    assert without_offsets(rows_of(CaptionsConfig("webdataset", str(tmp_path)))) == [
        bad("README", str(tar), "no_image"),
        bad("b", str(tar), "no_image", "no image"),
        bad("c", uri("c.jpg"), "bad_text"),
        good("c", uri("c.jpg", more), "text", width=4, height=3),
        bad("d/x", uri("d/x.y.jpg"), "unclear_name"),  # "y.jpg" is the extension
        good("e", uri("./e.JPG"), "one", "two"),
        bad("e", uri("e.jpg"), "listed_twice", "again", width=4, height=3),
        bad("e", uri("e.jpg", more), "listed_twice", "once more", width=4, height=3),
        bad("f", uri("f.jpg"), "bad_text"),
        bad("g", uri("g.jpg"), "bad_text"),
        bad("h", uri("h.jpg"), "no_text"),
    ]


def test_a_truncated_tar_gives_the_samples_before_the_damage(tmp_path: Path) -> None:
    tar = tmp_path / "a.tar"
    write_tar(tar, [member for number in range(4) for member in sample(str(number), bytes(1000))])
    whole = tar.read_bytes()
    with tarfile.open(tar) as opened:
        ends = {member.name: member.offset_data + member.size for member in opened.getmembers()}
    config = CaptionsConfig("webdataset", str(tar))
    assert [row["image_id"] for row in rows_of(config)] == ["0", "1", "2", "3"]
    content_end = 512 * (4 * (3 + 4))  # per sample three headers, and 2 + 1 + 1 blocks of content
    for cut in [*range(0, content_end, 1013), *range(512, content_end + 1, 512)]:
        tar.write_bytes(whole[:cut])
        *rows, damage = rows_of(config)
        assert damage == bad("a.tar", str(tar), "truncated_tar")
        assert [row["image_id"] for row in rows] == [key for key in "0123" if ends[f"{key}.jpg"] <= cut]
        assert [row.get("problem") for row in rows] == [
            None if ends[f"{row['image_id']}.json"] <= cut else "no_text" for row in rows
        ]
    tar.write_bytes(whole)
    assert [row["image_id"] for row in rows_of(config)] == ["0", "1", "2", "3"]
    tar.write_bytes(b"not a tar at all, but long enough to hold a header" * 100)
    assert rows_of(config) == [bad("a.tar", str(tar), "truncated_tar")]


def test_a_tar_that_became_shorter_costs_its_images(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", sample("0"))
    row = rows_of(CaptionsConfig("webdataset", str(tmp_path)))[0]
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(FileNotFoundError):
        read_image(row["image_uri"], row["byte_offset"], row["byte_length"])


def test_compressed_tars_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"")
    for name in ("a.tar.gz", "*.tar.gz"):
        with pytest.raises(UserError, match=r"^captions\.path: .*a\.tar\.gz is compressed"):
            open_captions(CaptionsConfig("webdataset", str(tmp_path / name)))
    with pytest.raises(UserError, match=r"^captions\.path: 0 files match"):
        open_captions(CaptionsConfig("webdataset", str(tmp_path)))
