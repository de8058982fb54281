"""Datasets as Hugging Face `datasets` writes them: the library itself writes what is read here."""

import io
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.captions import CaptionsConfig, open_captions, read_image
from pipeline.captions.opening import at_commits
from pipeline.errors import UserError
from pipeline.images import ImageProblem
from tests.captions.tables import captions, listed, message
from tests.servers.hub import Hub

COUNT = 37


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (12, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def dataset() -> datasets.Dataset:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "caption": datasets.List(datasets.Value("string")),
            "alt": datasets.Value("string"),
            "licence": datasets.ClassLabel(names=["CC BY", "CC0"]),
        }
    )
    rows = {
        "image": [{"bytes": picture(number), "path": f"{number}.png"} for number in range(COUNT)],
        "caption": [[f"a dog {number}", f"a cat {number}"] for number in range(COUNT)],
        "alt": [f"alt {number}" for number in range(COUNT)],
        "licence": [number % 2 for number in range(COUNT)],
    }
    return datasets.Dataset.from_dict(rows, features=features)


def check(rows: list[dict]) -> None:
    assert [row["captions"] for row in rows] == [[f"a dog {number}", f"a cat {number}"] for number in range(COUNT)]
    order = [0, 1, 2, *range(COUNT - 1, -1, -1)]
    assert [read_image(rows[number]["image_uri"], None, None) for number in order] == [picture(n) for n in order]


def test_parquet(dataset: datasets.Dataset, tmp_path: Path) -> None:
    dataset.to_parquet(tmp_path / "train-00000-of-00001.parquet", batch_size=10)
    check(listed(tmp_path, images=None))


@pytest.mark.parametrize("shards", [1, 3])
def test_arrow_of_save_to_disk(dataset: datasets.Dataset, tmp_path: Path, shards: int) -> None:
    dataset.save_to_disk(tmp_path / "saved", num_shards=shards)
    reloaded = datasets.load_from_disk(tmp_path / "saved")
    reloaded.map(lambda row: {"alt": "changed"}, load_from_cache_file=False)  # leaves cache-….arrow there
    assert list((tmp_path / "saved").glob("cache-*.arrow"))
    rows = listed(tmp_path / "saved", images=None, keep=["licence"])
    check(rows)
    assert [row["kept"]["licence"] for row in rows] == [number % 2 for number in range(COUNT)]
    assert rows[0]["image_uri"].startswith("arrow://image/")


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}])
@pytest.mark.parametrize("kind", ["file", "stream"])
def test_arrow_files_of_other_programs(tmp_path: Path, kind: str, options: dict) -> None:
    table = pa.table(
        {
            "kind": pa.array(["a", "b"] * 20).dictionary_encode(),
            "img/1": pa.array([picture(number) if number % 7 else None for number in range(40)]),
            "caption": [f"caption {number}" for number in range(40)],
        }
    )
    path = tmp_path / "a.arrow"
    new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with new(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=9)
    rows = listed(path, images=None, image_column="img/1")
    good = [row for row in rows if "problem" not in row]
    assert [row["problem"] for row in rows if "problem" in row] == ["null_image"] * 6
    numbers = [number for number in range(40) if number % 7]
    assert [row["captions"] for row in good] == [[f"caption {number}"] for number in numbers]
    assert [row["image_id"] for row in good] == [f"a/{number:09d}" for number in numbers]
    assert [read_image(row["image_uri"], None, None) for row in good] == [picture(number) for number in numbers]
    with pytest.raises(ImageProblem, match="too_many_bytes"):
        read_image(good[0]["image_uri"], None, None, 10)
    assert "encoded by a dictionary; save the table as Parquet" in message(
        path, caption_column="kind", image_column="img/1"
    )
    # Shorter than it was, and then another file.
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises((pa.ArrowInvalid, OSError)):
        read_image(good[-1]["image_uri"], None, None)
    assert "cannot be read" in message(path, image_column="img/1")
    path.write_bytes(b"no Arrow at all, but long enough to hold the length of a message")
    assert "cannot be read" in message(path)


def test_paths_in_one_row_and_bytes_in_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # `datasets` looks at the files
    features = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    Image.new("RGB", (4, 3)).save(tmp_path / "on_disk.png")
    rows = {
        "image": [{"bytes": None, "path": "on_disk.png"}, {"bytes": picture(1), "path": None}, None],
        "caption": ["a", "b", "c"],
    }
    mixed = datasets.Dataset.from_dict(rows, features=features)
    mixed.to_parquet(tmp_path / "parquet" / "a.parquet")
    mixed.save_to_disk(tmp_path / "saved")
    for folder in ("parquet", "saved"):
        found = listed(tmp_path / folder, images=str(tmp_path))
        by_caption = {row["captions"][0]: row for row in found}
        assert by_caption["c"]["problem"] == "null_image"
        assert read_image(by_caption["a"]["image_uri"], None, None) == (tmp_path / "on_disk.png").read_bytes()
        assert read_image(by_caption["b"]["image_uri"], None, None) == picture(1)


def test_several_columns_of_captions(tmp_path: Path) -> None:
    table = {
        "image": ["1.jpg", "2.jpg", "3.jpg", "4.jpg"],
        "short": ["a dog", None, " ", "[\"a box\", null, \"a crate\"]"],
        "long": [["a brown dog", None, "a dog on grass"], ["a cat"], [], None],
        "alt": ["IMG", "", None, '{"a": 1}'],
    }  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    path = tmp_path / "a.parquet"
    assert captions(path, caption_columns=["long", "short", "alt"]) == {
        "1.jpg": ["a brown dog", "a dog on grass", "a dog", "IMG"],
        "2.jpg": ["a cat"],
        "3.jpg": "null_caption",
        "4.jpg": "bad_caption",
    }
    assert captions(path, caption_columns=["short"])["4.jpg"] == ["a box", "a crate"]
    assert captions(path, caption_columns=["short", "long"])["4.jpg"] == ["a box", "a crate"]
    assert message(path, caption_columns=["short", "none"]).startswith("captions.caption_columns: ")
    assert message(path, caption_columns=[]).startswith("captions.caption_columns is empty")
    (tmp_path / "a.csv").write_text("image,en,de\n1.jpg,a dog,\n2.jpg,,ein Hund\n3.jpg,,\n")
    assert captions(tmp_path / "a.csv", caption_columns=["en", "de"]) == {
        "1.jpg": ["a dog"], "2.jpg": ["ein Hund"], "3.jpg": "null_caption",
    }  # fmt: skip


def test_columns_of_pictures_are_named_where_another_one_is_looked_for(tmp_path: Path) -> None:
    pq.write_table(pa.table({"jpg": [picture(1)], "text": ["a"]}), tmp_path / "a.parquet")
    assert "has no column 'image'; it has jpg, text; pictures are in jpg" in message(tmp_path, images=None)


# On the hub


def test_parquet_on_the_hub(dataset: datasets.Dataset, tmp_path: Path, hub: Hub) -> None:
    for number in range(2):
        part = dataset.shard(2, number, contiguous=True)
        part.to_parquet(tmp_path / f"{number}.parquet", batch_size=5)
    files = {f"data/train-{number}.parquet": (tmp_path / f"{number}.parquet").read_bytes() for number in range(2)}
    commit = hub.commit("org/name", files | {"README.md": b"# name"})
    config = at_commits(CaptionsConfig("table", "hf://datasets/org/name/data/train-*.parquet"))
    rows = [row for batch in open_captions(config).batches() for row in batch.to_pylist()]
    assert rows[0]["image_uri"] == f"parquet://image/0/0::hf://datasets/org/name@{commit}/data/train-0.parquet"
    check(rows)
    # A branch that moves on is not seen by those who are at a commit.
    hub.commit("org/name", {"README.md": b"gone"})
    check(rows)
    with pytest.raises(UserError, match=r"captions.path: .*nothing is there"):
        open_captions(at_commits(CaptionsConfig("table", "hf://datasets/org/name/data")))


def test_a_listing_on_the_hub_reads_no_pictures(tmp_path: Path, hub: Hub) -> None:
    large = [np.random.default_rng(number).bytes(200_000) for number in range(40)]
    table = pa.table({"image": large, "caption": [f"a dog {number}" for number in range(40)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10)
    hub.commit("org/name", {"a.parquet": (tmp_path / "a.parquet").read_bytes()})
    config = at_commits(CaptionsConfig("table", "hf://datasets/org/name/a.parquet"))
    rows = [row for batch in open_captions(config).batches() for row in batch.to_pylist()]
    assert len(rows) == 40
    assert hub.bytes_sent < 2_000_000
    before = hub.bytes_sent
    assert read_image(rows[25]["image_uri"], None, None) == large[25]
    assert hub.bytes_sent - before < 4_000_000  # of its row group, not of the file


def test_a_folder_and_a_file_on_the_hub(hub: Hub) -> None:
    commit = hub.commit("org/name", {"train/1.png": picture(1), "train/1.txt": b"a dog", "all.jsonl": b"{}"})
    config = at_commits(CaptionsConfig("folder", "hf://datasets/org/name/train"))
    [row] = [row for batch in open_captions(config).batches() for row in batch.to_pylist()]
    assert (row["image_uri"], row["captions"]) == (f"hf://datasets/org/name@{commit}/train/1.png", ["a dog"])
    assert read_image(row["image_uri"], None, None) == picture(1)
