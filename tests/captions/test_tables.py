"""Caption tables as other people write them: no row vanishes, none takes another's text."""

import gzip
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.captions import text_table
from tests.captions.tables import captions, listed, message

# Odd rows and odd files


def test_an_odd_row_costs_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"\xef\xbb\xbfimage,caption\r\n"
        b"1.jpg,one\r\n\r\n"
        b"2.jpg\r\n"
        b"3.jpg,two, three\r\n"
        b"4.jpg,caf\xe9\r\n"
        b"\xff.jpg,five\r\n"
        b"6.jpg,nul \0 byte\r\n"
        b"7.jpg," + b"x" * (text_table.LONGEST_ROW + text_table._CHUNK_BYTES * 2) + b"\r\n"
        b"8.jpg," + b"y" * 200_000 + b"\r\n"
        b"9.jpg,last"
    )
    assert captions(path) == {
        "1.jpg": ["one"],
        "a.csv:4": "bad_row",
        "a.csv:5": "bad_row",
        "4.jpg": "bad_text",
        "?.jpg": "bad_text",
        "6.jpg": ["nul \0 byte"],
        "a.csv:9": "bad_row",
        "8.jpg": ["y" * 200_000],
        "9.jpg": ["last"],
    }
    uris = {row["image_id"]: row["image_uri"] for row in listed(path)}
    assert uris["4.jpg"] == f"{tmp_path}/4.jpg"
    assert uris["a.csv:4"] == ""


def test_a_file_that_was_given_a_byte_order_mark_twice(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(2 * b"\xef\xbb\xbf" + "image,caption\n1.jpg,ａ\n".encode())
    assert captions(tmp_path / "a.csv") == {"1.jpg": ["ａ"]}


def test_tables_that_are_no_utf8_text_are_named(tmp_path: Path) -> None:
    def named(content: bytes, name: str = "a.csv") -> str:
        (tmp_path / name).write_bytes(content)
        text = message(tmp_path / name)
        assert text.startswith(f"captions.path: {tmp_path}/{name} cannot be read: ")
        return text

    rows = "image,caption\n1.jpg,a\n"
    assert "UTF-16" in named(rows.encode("utf-16"))
    assert "UTF-16" in named(rows.encode("utf-16-be"))
    assert "CR alone" in named(rows.replace("\n", "\r").encode())
    assert "is empty" in named(b"")
    assert "is empty" in named(b"\n\n")
    assert "first line is longer" in named(b"a" * (text_table.LONGEST_ROW + 2**23))
    named(gzip.compress(rows.encode())[:-9], "a.csv.gz")
    named(rows.encode(), "b.csv.gz")


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,caption\n")
    assert listed(tmp_path / "a.csv") == []


def test_a_table_of_which_no_row_fits_its_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,caption\n1.jpg,a, b\n2.jpg,c, d\n")
    assert "none has as many fields as there are columns (such as a.csv:2)" in message(tmp_path / "a.csv")


# Headers and kinds of files


def test_a_column_that_is_there_twice_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,caption,caption,other,other\n1.jpg,a,b,c,d\n")
    expected = "captions.caption_column: two columns of {} are called 'caption'; rename one of them"
    assert message(tmp_path / "a.csv") == expected.format(tmp_path / "a.csv")
    table = pa.Table.from_arrays(
        [pa.array(["1.jpg"]), pa.array(["a"]), pa.array(["b"])], ["image", "caption", "caption"]
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert message(tmp_path / "a.parquet") == expected.format(tmp_path / "a.parquet")
    assert captions(tmp_path / "a.csv", caption_column="image") == {"1.jpg": ["1.jpg"]}


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_txt_is_the_table_that_its_first_line_says(tmp_path: Path, delimiter: str) -> None:
    content = f"image{delimiter}caption\n1.jpg{delimiter}a red ball\n"
    (tmp_path / "captions.txt").write_text(content)
    (tmp_path / "captions.txt.gz").write_bytes(gzip.compress(content.encode()))
    for name in ("captions.txt", "captions.txt.gz"):
        assert captions(tmp_path / name) == {"1.jpg": ["a red ball"]}


def test_a_txt_in_a_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,caption\n1.jpg,a red ball\n")
    (tmp_path / "LICENSE.txt").write_text("Do, what you like")
    assert set(captions(tmp_path, images=str(tmp_path))) == {"1.jpg"}


def test_tables_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "cc.tsv").write_text("a red ball\thttps://host/1.jpg\na box\thttps://host/2.jpg\n")
    hint = message(tmp_path / "cc.tsv", image_column="url")
    assert "has no column 'url'" in hint
    assert "captions.columns" in hint
    options = {"columns": ["text", "url"], "image_column": "url", "caption_column": "text", "images": None}
    assert captions(tmp_path / "cc.tsv", **options) == {
        "https://host/1.jpg": ["a red ball"],
        "https://host/2.jpg": ["a box"],
    }
    (tmp_path / "header.tsv").write_text("caption\timg\na\t1.jpg\n")
    assert "captions.columns" not in message(tmp_path / "header.tsv")
    pq.write_table(pa.table({"image": ["a"], "caption": ["b"]}), tmp_path / "a.parquet")
    assert message(tmp_path / "a.parquet", columns=["a"]).startswith("captions.columns: ")


def test_a_file_of_an_unknown_kind_is_said_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_text("{}")
    for path in ("a.xlsx", "*.xlsx"):
        text = message(tmp_path / path)
        assert "a.xlsx is there, but its kind is not known; read are .parquet, .arrow" in text
    # As Spark names its files.
    pq.write_table(pa.table({"image": ["1.jpg"], "caption": ["b"]}), tmp_path / "part-0")
    assert captions(tmp_path / "part-*") == {"1.jpg": ["b"]}


# Lists as text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["a", "b"]', ["a", "b"]),
        (' ["ü \\ud83d"] ', ["ü ?"]),
        ("['a', \"it's\"]", ["a", "it's"]),
        (str(np.array(["a b", "c"])), ["a b", "c"]),
        (repr(["a\n", "b'\""]), ["a\n", "b'\""]),
        ("[]", "null_caption"),
        ("[1, 2]", "bad_caption"),
        ('[["a"]]', "bad_caption"),
        ('{"raw": "a"}', "bad_caption"),
        ('["a", b]', "bad_caption"),
        ("['\\x']", "bad_caption"),
        ("[" + "'a'," * 5000, ["[" + "'a'," * 5000]),
        ("[" * 5000 + "]" * 5000, ["[" * 5000 + "]" * 5000]),
        ("('a', \"b's\")", ["a", "b's"]),
        ("('a',)", ["a"]),
        ("('a')", ["('a')"]),
        ("('a', who says 'b')", ["('a', who says 'b')"]),
        ("(" + "'a'," * 5000 + "(", ["(" + "'a'," * 5000 + "("]),
        ("[removed]", ["[removed]"]),
        ("[sic] a ball [1]", ["[sic] a ball [1]"]),
        ("{a ball}", ["{a ball}"]),
    ],
)
def test_lists_as_text_are_lists(tmp_path: Path, text: str, expected: list[str] | str) -> None:
    frame = pd.DataFrame({"image": ["1.jpg", "2.jpg"], "caption": ["plain", text]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        assert captions(tmp_path / name) == {"1.jpg": ["plain"], "2.jpg": expected}


@pytest.mark.parametrize("text", ['["a", null]', "['a', None]", "['a', nan]", "(None, 'a')"])
def test_a_null_in_a_list_as_text_is_counted(tmp_path: Path, text: str) -> None:
    pq.write_table(pa.table({"image": ["1.jpg"], "caption": [text]}), tmp_path / "a.parquet")
    rows = listed(tmp_path / "a.parquet")
    assert [(row["captions"], row.get("problem")) for row in rows] == [(["a"], None), ([], "null_caption")]


# Addresses


def test_addresses_that_are_not_plain_are_never_opened_and_counted(tmp_path: Path) -> None:
    names = {
        "reference://a.jpg::http://host/ref.json": "refused_address",
        "parquet://image/0/0::http://host/a.parquet": "refused_address",
        "ftp://host/a.jpg": "refused_address",
        "https://user:password@host/a.jpg": "secret_in_address",
        "../secret.jpg": "refused_address",
    }
    frame = pd.DataFrame({"image": [*names, "1.jpg"], "caption": "a"})
    frame.to_csv(tmp_path / "a.csv", index=False)
    rows = listed(tmp_path / "a.csv")
    assert {row["image_id"]: row.get("problem") for row in rows} == {
        name.replace("user:password@", "…@"): problem for name, problem in names.items()
    } | {"1.jpg": None}
    assert "password" not in str(rows)


def test_a_signature_is_no_part_of_the_id(tmp_path: Path) -> None:
    signed = "https://bucket.host/1.jpg?X-Amz-Signature=0123abcd"
    pd.DataFrame({"image": [signed], "caption": ["a"]}).to_csv(tmp_path / "a.csv", index=False)
    (row,) = listed(tmp_path / "a.csv")
    assert row["image_uri"] == signed
    assert "0123abcd" not in row["image_id"]


# Folders


def test_hidden_files_are_no_input(tmp_path: Path) -> None:
    content = io.BytesIO()
    pq.write_table(pa.table({"image": ["1.jpg"], "caption": ["a"]}), content)
    for name in ("p.parquet", "sub/q.parquet"):
        (tmp_path / "parts" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "parts" / name).write_bytes(content.getvalue())
    for name in ("._p.parquet", ".DS_Store", ".hidden/r.parquet", "__MACOSX/p.parquet", "sub/._q.parquet"):
        (tmp_path / "parts" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "parts" / name).write_bytes(b"Mac OS X")
    for path in ("parts", "parts/*.parquet", "parts/**/*.parquet"):
        assert set(captions(tmp_path / path, images=str(tmp_path))) == {"1.jpg"}
    assert "._p.parquet" in message(tmp_path / "parts" / "._p.parquet")
    assert "._p.parquet" in message(tmp_path / "parts" / "._*.parquet")


@pytest.mark.parametrize("name", ["a[1].csv", "what?.csv", "star*.csv", "{a,b}.csv", "{a.csv"])
def test_a_path_that_exists_is_taken_at_its_word(tmp_path: Path, name: str) -> None:
    content = "image,caption\n1.jpg,a\n"
    (tmp_path / name).write_text(content)
    (tmp_path / "star2.csv").write_text(content.replace("1", "2"))
    assert captions(tmp_path / name) == {"1.jpg": ["a"]}
    folder = tmp_path / f"folder {name}"
    folder.mkdir()
    (folder / "x.csv").write_text(content)
    assert captions(folder) == {"1.jpg": ["a"]}
    if "{" not in name:
        assert captions(f"{folder}/*.csv") == {"1.jpg": ["a"]}


def test_names_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xb9\xb7.csv")).write_text("image,caption\n1.jpg,a\n")
    text = message(tmp_path)
    assert text.encode()
    assert "is not UTF-8; rename the file" in text


def test_a_table_in_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("text/captions.csv", "image,caption\n1.jpg,a\n")
    assert captions(f"zip://text/captions.csv::{tmp_path}/a.zip", images=str(tmp_path)) == {"1.jpg": ["a"]}
