"""What is written of a comparison, and what datasets that cannot be compared are told."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import schemas
from jobs import inspect
from pipeline.dataset.layout import Layout
from pipeline.differences import open_comparison
from pipeline.differences.tables import pairs_by_key, sampled_rows, write_tables
from tests.differences.made import MadeImage, rectangle, write_dataset

DOG, CAT = (rectangle(0, 0, 4, 4), 0.5), (rectangle(2, 2, 8, 8), 0.25)
ELSEWHERE = (rectangle(9, 2, 12, 6), 0.3)
HOSTILE = "\x1b[2J[bold]cat[/]"


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    a = [MadeImage("1", {"dog": DOG, "cat": CAT}), MadeImage("2", {"dog": DOG, "hat": CAT})]
    b = [MadeImage("2", {"dog": DOG, HOSTILE: CAT}), MadeImage("1", {"dog": (DOG[0], 0.9), "cat": ELSEWHERE})]
    return write_dataset(tmp_path / "a", a), write_dataset(tmp_path / "b", b, configuration={"clip": {"x": "[red]"}})


def test_all_pairs_that_differ_are_written(both, tmp_path):
    with open_comparison(*map(str, both)) as comparison:
        write_tables(comparison, str(tmp_path / "out"))
        [[moved]] = [sampled_rows(comparison, "moved", 5)]
        keys = ["000000-00001-001", "000000-00000-000"]
        same_too = pairs_by_key(comparison, keys)
    table = pq.read_table(tmp_path / "out" / "differences.parquet")
    assert table.schema.equals(schemas.DIFFERENCES)
    rows = table.to_pylist()
    found = [(row["image_id"], row["noun"], row["category"], row["reason"]) for row in rows]
    assert found == [
        ("1", "cat", "moved", "mask_not_among_candidates"),
        ("1", "dog", "shifted", "other_scores"),
        ("2", HOSTILE, "added", "noun_not_found"),
        ("2", "hat", "lost", "noun_not_found"),
    ]
    assert rows[0] == moved
    assert moved["iou"] == 0
    assert moved["key_a"] == "000000-00000-001"
    assert [(row["key_b"], row["category"]) for row in same_too] == [(keys[0], "moved"), (keys[1], "same")]
    about = json.loads(pq.read_schema(tmp_path / "out" / "differences.parquet").metadata[b"about"])
    assert about["a"] == str(both[0])

    nouns = pq.read_table(tmp_path / "out" / "nouns.parquet")
    assert nouns.schema.equals(schemas.NOUN_DIFFERENCES)
    by_noun = {row["noun"]: row for row in nouns.to_pylist()}
    assert by_noun["cat"] | {"pairs_a": 1, "pairs_b": 1, "shared": 1, "agreeing": 0, "kept_b": True} == by_noun["cat"]
    assert by_noun["hat"] | {"pairs_b": 0, "images_b": None, "kept_b": None, "images_a": 1} == by_noun["hat"]


def test_equal_datasets_give_equal_bytes(both, tmp_path):
    for to in ("one", "other"):
        with open_comparison(*map(str, both)) as comparison:
            write_tables(comparison, str(tmp_path / to))
    for name in ("differences.parquet", "nouns.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_the_command_line(both, tmp_path, capsys):
    a, b = map(str, both)
    assert inspect.main(["diff", a, b, "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "index.html",
        "differences.parquet",
        "nouns.parquet",
    }
    assert "1 nouns gained: \\x1b[2J[bold]cat[/] 1" in said
    assert "\x1b[2J" not in said
    assert "regions agree in 66.7% of the 3 pairs of both; 66.7% of A's nouns have pairs in B" in said
    assert "[red]" in said


def test_a_dataset_and_itself(both, capsys, tmp_path):
    a = str(both[0])
    assert inspect.main(["diff", a, a, "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "both were made with the same configuration" in said
    assert pq.read_table(tmp_path / "out" / "differences.parquet").num_rows == 0


def rewrite(path: Path, change) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def numbers(table: pa.Table, column: str) -> pa.Table:
    return table.set_column(table.schema.get_field_index(column), column, pa.array([1] * len(table), pa.int64()))


def with_text(table: pa.Table, column: str, text: str) -> pa.Table:
    index = table.schema.get_field_index(column)
    return table.set_column(index, column, pa.array([text] * len(table), pa.string()))


MANIFEST, CANDIDATES = "manifests/000000.parquet", "candidates/000000.parquet"
DAMAGES = {
    "no dataset": (lambda b: (b / "config.yaml").unlink(), "no config.yaml"),
    "another job": (lambda b: (b / "config.yaml").write_text("kind: train\nconfiguration: {}"), "jobs.train"),
    "nothing committed": (lambda b: (b / MANIFEST).unlink(), "no shard is committed yet"),
    "no Parquet": (lambda b: (b / MANIFEST).write_bytes(b"PAR1"), f"{MANIFEST} is damaged"),
    "older version": (
        lambda b: rewrite(b / MANIFEST, lambda table: table.drop_columns(["mask_rle"])),
        f"{MANIFEST} lacks mask_rle: it was written by an older version",
    ),
    "a pair twice": (
        lambda b: rewrite(b / MANIFEST, lambda table: pa.concat_tables([table, table])),
        "the image '1' has two pairs with the noun 'cat'",
    ),
    "no mask": (
        lambda b: rewrite(b / MANIFEST, lambda table: with_text(table, "mask_rle", "~~")),
        "a mask of a pair: not a COCO run-length code",
    ),
    "mask of another frame": (
        lambda b: rewrite(b / MANIFEST, lambda table: with_text(table, "mask_rle", "01")),
        "does not fill a frame of height 12",
    ),
    "keys of another shard": (
        lambda b: rewrite(b / MANIFEST, lambda table: with_text(table, "key", "000007-00000-000")),
        "it has keys of other shards than 0",
    ),
    "candidates of another type": (
        lambda b: rewrite(b / CANDIDATES, lambda table: numbers(table, "noun")),
        f"{CANDIDATES} is damaged: the column noun has type int64, not string",
    ),
    "vocabulary cut short": (lambda b: (b / "vocabulary.parquet").write_bytes(b"PAR1 PAR1"), "vocabulary.parquet is"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_compared_is_refused(damage, both, capsys):
    change, words = DAMAGES[damage]
    change(both[1])
    assert inspect.main(["diff", *map(str, both)]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--min-iou", "0"], "min_iou is 0.0; it must be above 0 and at most 1"),
        (["--samples", "0"], "--samples, --count and --regions must be at least 1"),
        (["--near", "dog"], "need a CLIP: name it by --clip.architecture"),
        (["--evaluations", "{a}", "{b}"], "no result.json"),
        (["--output", "{a}"], "is the output directory of a job; choose another folder"),
        (["--output", "page.html"], "names a page; tables are written beside it"),
    ],
)
def test_options_that_have_no_meaning(arguments, words, both, capsys):
    a, b = map(str, both)
    assert inspect.main(["diff", a, b, *(argument.format(a=a, b=b) for argument in arguments)]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_columns_and_tables_that_older_versions_lack_are_told(both, capsys):
    rewrite(both[1] / MANIFEST, lambda table: table.drop_columns(["image_sha256", "crc32"]))
    (both[1] / CANDIDATES).unlink()
    with open_comparison(*map(str, both)) as comparison:
        told = comparison.differences.remarks
        reasons = comparison.differences.reasons
    assert any("has not all tables of candidates" in remark for remark in told)
    assert any("does not tell image_sha256" in remark for remark in told)
    assert reasons["moved", "unexplained"] == 1


def test_other_files_beside_the_tables_are_left_alone(both):
    (both[1] / "manifests" / "._000000.parquet").write_bytes(b"")
    with open_comparison(*map(str, both)) as comparison:
        assert comparison.differences.b.shards == len(Layout(str(both[1])).committed())
