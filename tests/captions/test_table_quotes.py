"""Quotation marks in tables: no line vanishes, none takes another's text."""

import collections
import contextlib
import csv
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from tests.captions.tables import captions, listed


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
