"""The libraries that people read datasets with read ours."""

import io
import json
import tarfile
from argparse import Namespace
from pathlib import Path

import duckdb
import numpy as np
import open_clip
import pandas
import pyarrow.parquet as pq
import pytest
import torch
import webdataset
from PIL import Image


@pytest.fixture(scope="module")
def rows(mined: Path) -> list[dict]:
    """The manifests, in order."""
    return pq.read_table(mined / "manifests").to_pylist()


@pytest.fixture(scope="module")
def tars(mined: Path) -> list[str]:
    return sorted(map(str, (mined / "shards").glob("*.tar")))


def test_webdataset_decodes_the_shards(rows, tars):
    dataset = (
        webdataset.WebDataset(tars, shardshuffle=False).decode("pil").to_tuple("__key__", "jpg", "mask.png", "txt")
    )
    for row, (key, image, mask, noun) in zip(rows, dataset, strict=True):
        assert (key, noun) == (row["key"], row["noun"])
        assert image.size == mask.size
        assert set(np.unique(mask)) <= {0, 255}


@pytest.mark.parametrize("workers", [0, 2])
def test_open_clip_train_reads_the_shards(rows, tars, small_clip, workers):
    """`open_clip_train --dataset-type webdataset --train-data 'shards/{000000..000003}.tar'`, as it stands."""
    from open_clip_train.data import get_data

    model, preprocess, _ = open_clip.create_model_and_transforms(small_clip)
    tokenizer = open_clip.get_tokenizer(small_clip)
    folder = Path(tars[0]).parent
    arguments = Namespace(
        dataset_type="webdataset",
        train_data=f"{folder}/{{000000..{len(tars) - 1:06d}}}.tar",
        train_num_samples=len(rows),
        train_data_upsampling_factors=None,
        dataset_resampled=False,
        val_data=None,
        imagenet_val=None,
        imagenet_v2=None,
        batch_size=8,
        workers=workers,
        world_size=1,
        seed=0,
    )
    data = get_data(arguments, (preprocess, preprocess), epoch=0, tokenizer=tokenizer)["train"]
    tokens = {tuple(row.tolist()) for row in tokenizer([row["noun"] for row in rows])}
    seen = 0
    for images, texts in data.dataloader:
        assert images.shape == (8, 3, *[model.visual.image_size[0]] * 2)
        assert torch.isfinite(images).all()
        assert {tuple(text.tolist()) for text in texts} <= tokens
        seen += len(images)
    assert seen == data.dataloader.num_samples >= len(rows)


def test_hugging_face_datasets_read_the_shards(rows, tars, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    dataset = load_dataset("webdataset", data_files={"train": tars}, split="train", cache_dir=str(tmp_path))
    assert len(dataset) == len(rows)
    for row, sample in zip(rows, dataset, strict=True):
        assert sample["__key__"] == row["key"]
        assert sample["txt"] == row["noun"]
        assert sample["json"]["mask_rle"] == row["mask_rle"]
        assert sample["jpg"].size == sample["mask.png"].size


def test_duckdb_and_pandas_read_the_manifests(rows, mined):
    files = f"{mined}/manifests/*.parquet"
    counted = duckdb.sql(f"SELECT noun, count(*), avg(clip_score) FROM '{files}' GROUP BY noun").fetchall()
    nouns = {row["noun"] for row in rows}
    assert {noun for noun, *_ in counted} == nouns
    for noun, count, score in counted:
        own = [row["clip_score"] for row in rows if row["noun"] == noun]
        assert count == len(own)
        assert score == pytest.approx(np.mean(own), abs=1e-6)
    joined = duckdb.sql(
        f"SELECT m.noun, v.images FROM '{files}' m JOIN '{mined}/vocabulary.parquet' v USING (noun)"
    ).fetchall()
    assert len(joined) == len(rows)
    frame = pandas.read_parquet(mined / "manifests")
    assert frame.groupby("noun").size().to_dict() == {noun: count for noun, count, _ in counted}
    assert frame["key"].tolist() == [row["key"] for row in rows]


def test_a_sample_lies_where_its_row_says(rows, tars):
    """Its bytes are a tar of their own with the members that webdataset finds, at the offsets that tarfile finds."""
    samples = iter(webdataset.WebDataset(tars, shardshuffle=False))
    for shard, tar in enumerate(tars):
        with tarfile.open(tar) as opened:
            offsets = {member.name: member.offset for member in opened}
        data = Path(tar).read_bytes()
        for row in [row for row in rows if row["shard"] == shard]:
            assert offsets[f"{row['key']}.jpg"] == row["tar_offset"]
            sample, end = next(samples), row["tar_offset"] + row["tar_length"]
            with tarfile.open(fileobj=io.BytesIO(data[row["tar_offset"] : end])) as own:
                members = {member.name.partition(".")[2]: own.extractfile(member).read() for member in own}
            assert members == {name: content for name, content in sample.items() if not name.startswith("__")}
            assert sample["__key__"] == row["key"]
        assert not any(data[end:])
        assert len(data) - end >= 1024, "a tar ends with two empty blocks"
    assert next(samples, None) is None


def test_the_mask_of_a_sample_and_the_row_of_its_manifest_agree(rows, tars):
    """With nothing but the standard library, Pillow and pycocotools, as a stranger would."""
    from pycocotools import mask as coco

    for row, sample in zip(rows, webdataset.WebDataset(tars, shardshuffle=False), strict=True):
        details = json.loads(sample["json"])
        mask = coco.decode({"size": [row["image_height"], row["image_width"]], "counts": row["mask_rle"].encode()})
        x0, y0, x1, y1 = (details[f"crop_{edge}"] for edge in ("x0", "y0", "x1", "y1"))
        assert (np.asarray(Image.open(io.BytesIO(sample["mask.png"]))) == mask[y0:y1, x0:x1]).all()
