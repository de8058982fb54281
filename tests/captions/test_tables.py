"""Caption tables as other people write them: no row vanishes, none takes another's text."""

import collections
import contextlib
import csv
import gzip
import io
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captions import CaptionsConfig, open_captions, read_image, text_table
from pipeline.captions.parquet_images import read_parquet_image
from pipeline.errors import UserError
from pipeline.images import ImageProblem
from schemas import LISTING


def listed(path: Path | str, images: str | None = "/images", **options: object) -> list[dict]:
    config = CaptionsConfig("table", str(path), images=None, **options)
    config.images = images and str(Path(path).parent if images == "/images" else images)
    table = pa.Table.from_batches(open_captions(config).batches(), LISTING)
    return [{k: v for k, v in row.items() if v is not None} for row in table.to_pylist()]


def captions(path: Path | str, **options: object) -> dict[str, list[str] | str]:
    """By id the captions, or what is wrong."""
    rows = listed(path, **options)
    assert len({row["image_id"] for row in rows}) == len(rows)
    return {row["image_id"]: row.get("problem", row["captions"]) for row in rows}


def message(path: Path | str, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        listed(path, **options)
    return str(caught.value)


# Quotation marks


@pytest.mark.parametrize("suffix", [".tsv", ".txt"])
def test_a_line_of_a_tsv_is_a_row_whatever_quotes_it_holds(tmp_path: Path, suffix: str) -> None:
    texts = [
        '"a red ball and a box',
        "a ball on the grass",
        'a box "near" a ball',
        'a ball on the lawn"',
        '"in quotes"',
        '"',
        '5" pipe',
        '""',
    ]
    lines = [f"{number}.jpg\t{text}\n" for number, text in enumerate(texts)]
    (tmp_path / f"a{suffix}").write_text("image\tcaption\n" + "".join(lines))
    assert captions(tmp_path / f"a{suffix}") == {f"{number}.jpg": [text] for number, text in enumerate(texts)}


def test_quotes_that_pandas_writes_into_a_tsv_are_undone(tmp_path: Path) -> None:
    texts = ['a "red" ball', "tab\there", "plain", '"']
    frame = pd.DataFrame({"image": [f"{number}.jpg" for number in range(len(texts))], "caption": texts})
    expected = dict(zip(frame["image"], ([text] for text in texts), strict=True))
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        frame.to_csv(tmp_path / "a.tsv", sep="\t", index=False, quoting=quoting)
        assert captions(tmp_path / "a.tsv") == expected


def test_an_unpaired_quote_in_a_csv_swallows_no_row(tmp_path: Path) -> None:
    def read(*lines: str, header: str = "image,caption") -> dict:
        (tmp_path / "a.csv").write_text("\n".join([header, *lines]) + "\n")
        return captions(tmp_path / "a.csv")

    clear = read('1.jpg,"a red ball', "2.jpg,a box", '3.jpg,a "near" ball', "4.jpg,a ball")
    assert clear == {"1.jpg": ['"a red ball'], "2.jpg": ["a box"], "3.jpg": ['a "near" ball'], "4.jpg": ["a ball"]}
    never_closed = read("1.jpg,a", '2.jpg,"b', "3.jpg,c", "4.jpg,d")
    assert never_closed == {"1.jpg": ["a"], "2.jpg": ['"b'], "3.jpg": ["c"], "4.jpg": ["d"]}
    both_open = read('1.jpg,"a', '2.jpg,"b', "3.jpg,c")
    assert both_open == {"1.jpg": ['"a'], "2.jpg": ['"b'], "3.jpg": ["c"]}
    # Two readings: nobody can tell, so both lines are rejected, and counted.
    for closing in ('2.jpg,a ball"', '2.png,a ball"'):
        doubtful = read('1.jpg,"a', closing, "3.jpg,c")
        assert doubtful == {"a.csv:2": "bad_row", "a.csv:3": "bad_row", "3.jpg": ["c"]}
    doubtful = read('"a,1.jpg', 'b",2.jpg', "c,3.jpg", header="caption,image")
    assert doubtful == {"a.csv:2": "bad_row", "a.csv:3": "bad_row", "3.jpg": ["c"]}
    # What a program writes that quotes as it should is believed.
    assert read('1.jpg,"a, b', 'and c, d"', "3.jpg,c") == {"1.jpg": ["a, b\nand c, d"], "3.jpg": ["c"]}


NAMES = st.integers(0, 5).map("{}.jpg".format)
TEXTS = st.text(st.sampled_from("ab ,\t\n\r\"'ü😀\ufeff\0\x85\u2028") | st.characters(codec="utf-8"), max_size=9)
# Lists as text are another matter; a line that begins like another row of the table is rejected, see above.
CAPTIONS = TEXTS.filter(lambda text: not text.strip().startswith(("[", "{")) and ".jpg" not in text)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(NAMES, CAPTIONS), min_size=1, max_size=12),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from([",", "\t"]),
    st.sampled_from(["\r\n", "\n", "\r\r\n"]),
)
def test_any_rows_of_pythons_csv_module_are_listed_exactly(rows: list, quoting: int, delimiter: str, end: str) -> None:
    if delimiter == "\t":
        # A line of a TSV is a row.
        rows = [row for row in rows if "\r" not in row[1] and "\n" not in row[1]] or [("0.jpg", "a")]
    elif end == "\n":
        # Python leaves a CR unquoted then, which at the end of a line reads as a part of it.
        rows = [(name, text.rstrip("\r")) for name, text in rows]
    expected = collections.defaultdict(list)
    for name, text in rows:
        expected[name].append(text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("a.csv" if delimiter == "," else "a.tsv")
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, quoting=quoting, delimiter=delimiter, lineterminator=end).writerows(
                [("image", "caption"), *rows]
            )
        assert captions(path) == expected


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            NAMES,
            # Not what reads as the quoting of other programs.
            CAPTIONS.filter(lambda text: not set("\t\n\r") & set(text) and '""' not in text),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_lines_of_a_tsv_are_listed_exactly(rows: list) -> None:
    expected = collections.defaultdict(list)
    for name, text in rows:
        expected[name].append(text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tsv"
        path.write_bytes("".join(f"{name}\t{text}\n" for name, text in [("image", "caption"), *rows]).encode())
        assert captions(path) == expected


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 99), st.text('ab,\t"\r', max_size=6)), min_size=1, max_size=8), st.booleans())
def test_no_line_of_whatever_vanishes(rows: list, is_csv: bool) -> None:
    """Lines that no writer made: each gives an image or a rejected row, and captions stay on their lines."""
    delimiter, name = (",", "a.csv") if is_csv else ("\t", "a.tsv")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        lines = [f"/{place}-{number}.jpg{delimiter}{text}" for place, (number, text) in enumerate(rows)]
        path.write_bytes("\n".join([f"image{delimiter}caption", *lines]).encode())
        with contextlib.suppress(UserError):  # no row fits the header
            found = listed(path)
            counted = sum(len(row["captions"]) if "problem" not in row else 1 for row in found)
            assert counted == len(rows)
            assert all("\n" not in caption for row in found for caption in row["captions"])


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
    (tmp_path / "a.jsonl").write_text("{}")
    for path in ("a.jsonl", "*.jsonl"):
        text = message(tmp_path / path)
        assert "a.jsonl is there, but its kind is not known; read are .parquet, .csv" in text
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


# Types of Parquet


@pytest.mark.parametrize(
    "array",
    [
        pa.array([["a", "b"], None, ["c", None]], pa.list_(pa.string(), 2)),
        pa.array([["a", "b"], [], ["c", None]], pa.large_list(pa.large_string())),
        pa.ListArray.from_arrays([0, 2, 2, 4], pa.array(["a", "b", "c", None]).dictionary_encode()),
    ],
)
def test_lists_of_all_types(tmp_path: Path, array: pa.Array) -> None:
    pq.write_table(pa.table({"image": ["1.jpg", "2.jpg", "3.jpg"], "caption": array}), tmp_path / "a.parquet")
    rows = [(row["image_id"], row["captions"], row.get("problem")) for row in listed(tmp_path / "a.parquet")]
    assert rows == [
        ("1.jpg", ["a", "b"], None),
        ("2.jpg", [], "null_caption"),
        ("3.jpg", ["c"], None),
        ("3.jpg", [], "null_caption"),
    ]


@pytest.mark.parametrize("nothing", [pa.nulls(2), pa.array([[], None], pa.list_(pa.null()))])
def test_one_file_of_many_without_any_caption_costs_its_rows(tmp_path: Path, nothing: pa.Array) -> None:
    pq.write_table(pa.table({"image": ["1.jpg"], "caption": ["a"]}), tmp_path / "train-00000-of-00002.parquet")
    frame = {"image": ["2.jpg", "3.jpg"], "caption": nothing}
    pq.write_table(pa.table(frame), tmp_path / "train-00001-of-00002.parquet")
    assert captions(tmp_path) == {"1.jpg": ["a"], "2.jpg": "null_caption", "3.jpg": "null_caption"}


def not_utf8(*values: bytes) -> pa.Array:
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())


def test_bytes_in_a_parquet_table_that_are_no_utf8_cost_their_row(tmp_path: Path) -> None:
    images, texts = not_utf8(b"1.jpg", b"2.jpg", b"\xe9.jpg"), not_utf8(b"caf\xe9", "é".encode(), b"c")
    lists = pa.ListArray.from_arrays([0, 1, 2, 3], texts)
    for column in (texts, lists):
        pq.write_table(pa.table({"image": images, "caption": column}), tmp_path / "a.parquet")
        assert captions(tmp_path / "a.parquet") == {"1.jpg": "bad_text", "2.jpg": ["é"], "\ufffd.jpg": "bad_text"}
    encoded = pa.array(["1.jpg", "2.jpg", None]).dictionary_encode()
    pq.write_table(pa.table({"image": encoded, "caption": lists}), tmp_path / "a.parquet")
    assert captions(tmp_path / "a.parquet") == {"1.jpg": "bad_text", "2.jpg": ["é"], "": "null_image"}
    table = pa.table({"image": images, "caption": texts, "id": [3, 2, 1]})
    pq.write_table(table, tmp_path / "ids.parquet")
    assert captions(tmp_path / "ids.parquet", id_column="id") == {"1": "bad_text", "2": ["é"], "3": "bad_text"}


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


# Pictures in the table


def picture_table(pictures: list[dict | None], **more: list) -> pa.Table:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.table({"image": pa.array(pictures, kind), **more})


def test_pictures_are_read_out_of_a_parquet_table(tmp_path: Path) -> None:
    pictures = [{"bytes": bytes([number]) * 5000, "path": f"{number % 3}.jpg"} for number in range(200)]
    texts = [f"caption {number}" for number in range(200)]
    pq.write_table(picture_table(pictures[:150], caption=texts[:150]), tmp_path / "train-0.parquet", row_group_size=70)
    pq.write_table(picture_table(pictures[150:], caption=texts[150:]), tmp_path / "train-1.parquet")
    rows = listed(tmp_path, images=None)
    assert [row["captions"] for row in rows] == [[text] for text in texts]
    assert rows[151]["image_id"] == "train-1/000000001"
    assert [read_image(row["image_uri"], None, None) for row in rows] == [picture["bytes"] for picture in pictures]
    for number in (199, 3, 2, 160, 0, 69, 70):
        assert read_image(rows[number]["image_uri"], None, None) == pictures[number]["bytes"]


def test_pictures_without_bytes_are_their_paths(tmp_path: Path) -> None:
    pictures = [
        {"bytes": b"one", "path": None},
        {"bytes": None, "path": "two.jpg"},
        {"bytes": None, "path": None},
        None,
        {"bytes": None, "path": "ftp://host/five.jpg"},
    ]
    (tmp_path / "a").mkdir()
    for statistics in (True, False):
        path = tmp_path / "a" / "t.parquet"
        pq.write_table(picture_table(pictures, caption=["a"] * 5), path, write_statistics=statistics)
        rows = {row["image_uri"]: row.get("problem") for row in listed(path, images=str(tmp_path))}
        one = f"parquet://image/0/0::{path}"
        assert rows == {
            one: None,
            f"{tmp_path}/two.jpg": None,
            "": "null_image",
            "ftp://host/five.jpg": "refused_address",
        }
        assert len(listed(path, images=str(tmp_path))) == 5
        assert read_image(one, None, None) == b"one"


def test_a_binary_column_with_ids_and_a_strange_name(tmp_path: Path) -> None:
    column = "an/odd column::%"
    table = pa.table({column: [b"one", b"two", b"one"], "id": [7, 8, 7], "caption": ["a", "b", "c"]})
    pq.write_table(table, tmp_path / "t.parquet")
    rows = listed(tmp_path / "t.parquet", images=None, image_column=column, id_column="id")
    assert [(row["image_id"], row["captions"]) for row in rows] == [("7", ["a", "c"]), ("8", ["b"])]
    assert [read_image(row["image_uri"], None, None) for row in rows] == [b"one", b"two"]


def test_a_table_that_changed_costs_its_pictures(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(picture_table([{"bytes": os.urandom(9000), "path": None}] * 40, caption=["a"] * 40), path)
    uri = listed(path, images=None)[39]["image_uri"]
    pq.write_table(picture_table([{"bytes": b"1", "path": None}], caption=["a"]), path)
    with pytest.raises(FileNotFoundError):
        read_image(uri, None, None)
    path.write_bytes(b"PAR1, and no more")
    with pytest.raises(pa.ArrowInvalid):
        read_image(uri, None, None)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_image(uri, None, None)


def test_the_address_of_a_picture_in_a_table_is_judged_and_its_size_limited(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(picture_table([{"bytes": bytes(1000), "path": None}], caption=["a"]), path)
    uri = listed(path, images=None)[0]["image_uri"]
    assert read_parquet_image(uri, 1000) == bytes(1000)
    with pytest.raises(ImageProblem, match="too_many_bytes"):
        read_parquet_image(uri, 999)
    for file in ("reference://a::http://127.0.0.1:9/ref.json", "ftp://127.0.0.1:9/a", "s3://key:secret@bucket/a"):
        with pytest.raises(ImageProblem, match=r"refused_address|secret_in_address"):
            read_parquet_image(f"parquet://image/0/0::{file}")


def test_pictures_that_are_the_same_or_huge_do_not_fill_the_memory(tmp_path: Path) -> None:
    """A picture that is repeated takes its room only once in the file: 3,000 times half a megabyte."""
    path = tmp_path / "t.parquet"
    picture = {"bytes": bytes(2**19), "path": None}
    pq.write_table(picture_table([picture] * 3000, caption=["a"] * 3000), path, compression="zstd")
    assert path.stat().st_size < 2**20
    before = pa.total_allocated_bytes()
    assert read_image(f"parquet://image/0/2999::{path}", None, None) == picture["bytes"]
    assert pa.total_allocated_bytes() - before < 300 * 2**20


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
