"""Groups of near-duplicate images, from the pictures on."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import schemas
from jobs import inspect
from pipeline import storage
from pipeline.dataset.hashes import HashedImage, hashes_table
from pipeline.dataset.layout import Layout
from pipeline.duplicates.groups import find_duplicates, group_images
from pipeline.errors import UserError
from pipeline.mining.hashing import hash_images
from tests.training.datasets import list_images, write_dataset

FAR = 0xFF << 40


def hashed(values: list[tuple[str, int]]) -> pa.Table:
    """Images by the SHA-256 of their file and their hash."""
    return hashes_table(0, [HashedImage(f"image-{n}", "", sha256, value) for n, (sha256, value) in enumerate(values)])


def test_groups_come_in_the_order_of_their_first_images():
    found = group_images(hashed([("a", FAR), ("b", 7), ("c", FAR + 1), ("d", 6), ("e", 2**63 + 2**50), ("f", 5)]), 2)
    rows = [(row["group"], row["image_id"], row["distance"]) for row in found.table.to_pylist()]
    assert rows == [(0, "image-0", 0), (0, "image-2", 1), (1, "image-1", 0), (1, "image-3", 1), (1, "image-5", 1)]
    assert (found.images, found.groups, found.superfluous, found.remarks()) == (6, 2, 3, [])
    assert found.table.schema.equals(schemas.DUPLICATES)


def test_plain_images_are_copies_only_where_their_files_are():
    found = group_images(hashed([("a", 0), ("b", 0), ("a", 0), ("", 0), ("", 0), ("c", 2**40)]), 6)
    assert [row["image_id"] for row in found.table.to_pylist()] == ["image-0", "image-2"]
    assert found.plain == 5
    assert "5 plain images" in found.remarks()[0]


def test_images_without_anything_in_common():
    assert group_images(hashed([]), 6).groups == 0
    assert group_images(hashed([("a", 1), ("b", 2**64 - 1)]), 6).groups == 0


@pytest.fixture
def dataset(tmp_path) -> Path:
    """Twelve images that an older version mined; 5 is 2 made smaller, 7 is plain, and 9 has gone."""
    folder = write_dataset(tmp_path / "dataset", side=24)
    files = list_images(folder, tmp_path / "pictures")
    rng = np.random.default_rng(2)
    for number, file in enumerate(files):
        small = rng.integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
        if number == 5:
            Image.open(files[2]).resize((100, 75)).save(file, "JPEG", quality=60)
        if number == 7:
            Image.new("RGB", (160, 120), (9, 80, 7)).save(file, "JPEG")
    files[9].unlink()
    return folder


def test_a_dataset_without_hashes_is_hashed_from_its_images(dataset, tmp_path, capsys):
    assert inspect.main(["duplicates", str(dataset)]) == 2
    assert "duplicates" in capsys.readouterr().err
    to = tmp_path / "groups.json"
    assert inspect.main(["duplicates", str(dataset), "--hash", "--output", str(to)]) == 0
    said = capsys.readouterr().out
    assert "hashed 11 images of 3 shards" in said
    assert "1 could not be: missing_file" in said
    assert "2 plain images" in said
    assert [row["image_id"] for row in json.loads(to.read_text())] == ["image-2", "image-5"]
    tables = [path.read_bytes() for path in sorted((dataset / "hashes").iterdir())]
    assert hash_images(str(dataset)).shards == 0
    assert [path.read_bytes() for path in sorted((dataset / "hashes").iterdir())] == tables
    assert (
        inspect.main(["duplicates", str(dataset), "--output", str(tmp_path / "groups.parquet"), "--distance", "0"]) == 0
    )
    assert pq.read_table(tmp_path / "groups.parquet").schema.names == schemas.DUPLICATES.names


def test_what_cannot_be_is_said(dataset, capsys):
    with pytest.raises(UserError, match="--distance is 17 bits of 64"):
        find_duplicates(str(dataset), 17)
    assert inspect.main(["duplicates", str(dataset), "--output", "groups.csv"]) == 2
    assert "ends in .parquet or .json" in capsys.readouterr().err


def test_names_of_others_steer_no_terminal(dataset, capsys):
    for shard in range(3):
        ids = pq.read_table(dataset / "manifests" / f"{shard:06d}.parquet")["image_id"].unique().to_pylist()
        images = [HashedImage(image, "\x1b[31m[/]" + image, "", 2**50) for image in ids]
        storage.write_table(hashes_table(shard, images), Layout(str(dataset)).table("hashes", shard))
    assert inspect.main(["duplicates", str(dataset)]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "… and 8 more" in said
