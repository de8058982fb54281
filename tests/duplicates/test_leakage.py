"""Mined images that are copies of others: found, told beside the dataset, and shown."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import schemas
from jobs import inspect
from pipeline.duplicates.known_leaks import evaluated_leaks, known_leaks, training_leaks
from pipeline.duplicates.near_hashes import near_pairs
from pipeline.errors import UserError
from pipeline.evaluation.training_leakage import training_leakage
from pipeline.mining.hashing import hash_images
from pipeline.training.samples import DataConfig, select_samples
from tests.duplicates.test_near_hashes import near_sets
from tests.training.datasets import list_images, write_dataset

HOSTILE = "<img src=x onerror=alert(1)>.jpg"


@given(ones=near_sets(), others=near_sets(), distance=st.integers(0, 10))
@settings(deadline=None, max_examples=40)
def test_pairs_of_two_sets_are_those_of_comparing_each_with_each(ones, others, distance):
    others = [*others, *ones[::3]]
    found = near_pairs(np.array(ones, np.uint64), np.array(others, np.uint64), distance)
    expected = [(a, b) for b, other in enumerate(others) for a, one in enumerate(ones)
                if (one ^ other).bit_count() <= distance]  # fmt: skip
    assert list(zip(*(side.tolist() for side in found), strict=True)) == expected


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A dataset of twelve images, and a folder: 2 made smaller, 3 as it is (twice), another picture, and no picture."""
    folder = tmp_path_factory.mktemp("made")
    dataset = write_dataset(folder / "mined", side=24)
    files = list_images(dataset, folder / "pictures")
    rng = np.random.default_rng(3)
    for file in [*files, folder / "other.jpg"]:
        small = rng.integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
    test = folder / "test set"
    (test / "below").mkdir(parents=True)
    Image.open(files[2]).resize((96, 72)).save(test / "below" / HOSTILE, "JPEG", quality=60)
    for name in ("3.jpg", "again.jpg"):
        (test / name).write_bytes(files[3].read_bytes())
    (test / "other.jpg").write_bytes((folder / "other.jpg").read_bytes())
    (test / "none.png").write_bytes(b"no picture")
    (test / "notes.txt").write_text("no image")
    hash_images(str(dataset))
    assert inspect.main(["leakage", str(dataset), "--against", str(test)]) == 0
    return dataset, test


def test_what_is_found(made):
    dataset, _ = made
    table = pq.read_table(dataset / "leakage" / "test-set.parquet")
    assert table.schema.equals(schemas.LEAKAGE)
    rows = {row["image"]: (row["mined_image_id"], row["mined_key"], row["pairs"]) for row in table.to_pylist()}
    assert rows == {
        f"below/{HOSTILE}": ("image-2", "000000-00002", 2),
        "3.jpg": ("image-3", "000000-00003", 2),
        "again.jpg": ("image-3", "000000-00003", 2),
        "other.jpg": (None, None, None),
        "none.png": (None, None, None),
    }
    [leak] = known_leaks(str(dataset))
    assert (leak.about.images, leak.about.unreadable, leak.about.mined_images) == (4, 1, 12)
    assert (leak.leaked, leak.mined) == (3, (2, 4))
    assert dict(leak.problems) == {"not_an_image": 1}
    assert "leakage test-set: 3 of 4 images of" in str(leak)


def test_training_says_so(made):
    dataset, test = made
    samples = select_samples(str(dataset), DataConfig(held_out_share=0.0, where="image_id <> 'image-2'"))
    found = training_leaks(known_leaks(str(dataset)), samples.table["key"], samples.manifest_sha256)
    assert found == {
        "test-set": {
            "against": str(test), "distance": 6, "images": 4, "copies": 3, "training_pairs": 2, "of_this_dataset": True,
        }
    }  # fmt: skip
    assert not training_leaks(known_leaks(str(dataset)), samples.table["key"], "")["test-set"]["of_this_dataset"]


def test_evaluation_says_so(made, capsys):
    dataset, test = made
    digests = {
        name: [hashlib.sha256((test / name).read_bytes()).hexdigest(), "label"] for name in ("3.jpg", "other.jpg")
    }
    digests["unknown"] = ["0" * 64, "label"]
    # A training run has the comparisons of its dataset beside its model.
    assert training_leakage(f"local-dir:{dataset}/model", digests) == {"test-set": {"checked": 2, "copies": 1}}
    assert "warning: 1 of the evaluated images are copies of images" in capsys.readouterr().err
    assert training_leakage(f"local-dir:{dataset}/model", {"unknown": digests["unknown"]}) is None
    assert training_leakage("ViT-B-16", digests) is None
    assert training_leakage(f"local-dir:{test}/model", digests) is None
    assert evaluated_leaks([], ["0" * 64]) == []


def test_another_dataset_is_compared_by_its_tables(made, tmp_path):
    dataset, _ = made
    assert (
        inspect.main(["leakage", str(dataset), "--against", str(dataset), "--name", "itself", "--distance", "0"]) == 0
    )
    table = pq.read_table(dataset / "leakage" / "itself.parquet")
    assert table["image"].to_pylist() == table["mined_image_id"].to_pylist() == [f"image-{n}" for n in range(12)]
    for suffix in ("parquet", "html"):
        (dataset / "leakage" / f"itself.{suffix}").unlink()


def test_the_page_shows_both_pictures_and_escapes_names(made):
    page = (made[0] / "leakage" / "test-set.html").read_text()
    assert page.count("data:image/webp;base64,") == 6
    assert HOSTILE not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.jpg" in page
    assert re.search(r"script-src &#39;none&#39;|script-src 'none'", page)


def test_damaged_comparisons_are_named(made, tmp_path):
    folder = tmp_path / "leakage"
    folder.mkdir()
    pq.write_table(pa.table({"image": ["a"]}), folder / "one.parquet")
    (folder / "not ours.parquet").write_bytes(b"")
    with pytest.raises(UserError, match=r"one\.parquet"):
        known_leaks(str(tmp_path))
    table = pq.read_table(made[0] / "leakage" / "test-set.parquet")
    pq.write_table(table.replace_schema_metadata({"about": '{"against": 7}'}), folder / "one.parquet")
    with pytest.raises(UserError, match="does not say what was compared"):
        known_leaks(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--against", "{empty}"], "holds no images"),
        (["--against", "{empty}/gone"], "--against"),
        (["--against", "{test}", "--name", "../out"], "--name: '../out'"),
        (["--against", "{test}", "--distance", "-1"], "--distance is -1"),
    ],
)
def test_mistakes_are_said(made, tmp_path, options, said, capsys):
    dataset, test = made
    given = [option.format(empty=tmp_path, test=test) for option in options]
    assert inspect.main(["leakage", str(dataset), *given]) == 2
    assert said in capsys.readouterr().err
