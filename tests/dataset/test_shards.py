"""Samples and tars: what is cut, scaled and stored."""

import io
import json
import tarfile
import zlib

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import schemas
from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import IncompleteShardError, ShardsConfig, commit_shard, sample_members, write_tar
from tests.shard_samples import make_sample, rectangle


def opened(members: dict) -> tuple[np.ndarray, np.ndarray, dict]:
    jpg, png = Image.open(io.BytesIO(members["jpg"])), Image.open(io.BytesIO(members["mask.png"]))
    assert png.mode == "1"
    return np.asarray(jpg), np.asarray(png), json.loads(members["json"])


def test_the_crop_is_the_box_with_its_background():
    sample = make_sample(rectangle(100, 120, 20, 30, 60, 90) & (np.arange(120) % 7 != 0))
    crop, mask, details = opened(sample_members(sample, ShardsConfig()))
    x0, y0, x1, y1 = (details[f"crop_{edge}"] for edge in ("x0", "y0", "x1", "y1"))
    assert (x0, y0, x1, y1) == tuple(sample.row[f"box_{edge}"] for edge in ("x0", "y0", "x1", "y1"))
    assert (mask == sample.mask[y0:y1, x0:x1]).all()
    assert np.abs(crop.astype(int) - sample.image[y0:y1, x0:x1]).max() <= 12


def test_context_widens_the_crop_and_keeps_the_mask_in_place():
    sample = make_sample(rectangle(100, 120, 40, 50, 60, 70))
    crop, mask, details = opened(sample_members(sample, ShardsConfig(context=2.0)))
    assert (details["crop_x0"], details["crop_y0"], details["crop_x1"], details["crop_y1"]) == (40, 30, 80, 70)
    assert crop.shape == (40, 40, 3)
    assert (mask == sample.mask[30:70, 40:80]).all()


def test_large_crops_are_scaled_down_with_their_masks():
    sample = make_sample(rectangle(800, 1600, 0, 0, 800, 1600) & (np.arange(1600) < 400))
    sample.row["box_x1"] = 1600
    crop, mask, _ = opened(sample_members(sample, ShardsConfig(max_side=160)))
    assert crop.shape == (80, 160, 3)
    assert mask.shape == (80, 160)
    assert mask[:, :40].all()
    assert not mask[:, 40:].any()


@given(data=st.data(), height=st.integers(1, 90), width=st.integers(1, 90), side=st.integers(1, 40))
@settings(deadline=None, max_examples=40)
def test_no_stored_mask_is_empty(data, height, width, side):
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    sample = make_sample(rectangle(height, width, y, x, y + 1, x + 1) | (np.arange(width) == x))
    crop, mask, _ = opened(sample_members(sample, ShardsConfig(max_side=side)))
    assert mask.any()
    assert mask.shape == crop.shape[:2]
    assert max(mask.shape) <= max(side, 1)


def test_tars_are_the_same_bytes_with_sorted_members_and_no_time():
    samples = [make_sample(rectangle(40, 40, 1, 2, 30, 35), key=f"000003-0000{i}-000") for i in range(3)]
    tars = []
    for _ in range(2):
        file = io.BytesIO()
        write_tar(iter(samples), ShardsConfig(), file)
        tars.append(file.getvalue())
    assert tars[0] == tars[1]
    with tarfile.open(fileobj=io.BytesIO(tars[0])) as tar:
        names = tar.getnames()
        assert names == [f"000003-0000{i}-000.{kind}" for i in range(3) for kind in ("jpg", "json", "mask.png", "txt")]
        assert {member.mtime for member in tar.getmembers()} == {0}


@given(sides=st.lists(st.integers(1, 60), min_size=1, max_size=4))
@settings(deadline=None, max_examples=20)
def test_the_rows_say_where_a_sample_lies_in_the_tar(sides):
    samples = [make_sample(np.ones((side, side), bool), key=f"000003-{i:05d}-000") for i, side in enumerate(sides)]
    file = io.BytesIO()
    rows = write_tar(iter(samples), ShardsConfig(), file)
    end = 0
    with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as tar:
        for row, sample in zip(rows, samples, strict=True):
            assert row == {
                **sample.row, "tar_offset": end, "tar_length": row["tar_length"], "crc32": row["crc32"],
            }  # fmt: skip
            members = [tar.next() for _ in range(4)]
            read = {member.name.partition(".")[2]: tar.extractfile(member).read() for member in members}
            assert row["crc32"] == zlib.crc32(read["jpg"] + read["mask.png"] + read["txt"])
            assert {member.name.partition(".")[0] for member in members} == {row["key"]}
            assert members[0].offset == row["tar_offset"]
            end = row["tar_offset"] + row["tar_length"]
            assert end == members[-1].offset_data + -(-members[-1].size // 512) * 512
        assert tar.next() is None


def test_a_shard_is_committed_by_its_manifest_alone(tmp_path):
    layout = Layout(str(tmp_path))
    storage.write_table(schemas.CAPTIONS.empty_table(), layout.table("captions", 4))
    sample = make_sample(rectangle(40, 40, 1, 2, 30, 35), key="000004-00000-000")
    with pytest.raises(IncompleteShardError, match="3 images, but 1 with pairs and 0 rejected"):
        commit_shard(layout, 4, 3, [sample], [], [], ShardsConfig())
    assert layout.committed() == set()
    reject = {"shard": 4, "image_id": "8", "image_uri": "", "stage": "images", "reason": "damaged", "detail": ""}
    rejects = [{**reject, "caption_index": None}, {**reject, "caption_index": 0}]
    commit_shard(layout, 4, 2, [sample], [], rejects, ShardsConfig())
    assert layout.committed() == {4}
    manifest = storage.read_table(layout.table("manifests", 4))
    files = json.loads(manifest.schema.metadata[b"files"])
    assert set(files) == {f"{k}/000004.parquet" for k in ("captions", "candidates", "rejects")} | {"shards/000004.tar"}
    for name, checksum in files.items():
        assert (checksum["sha256"], checksum["bytes"]) == storage.sha256(layout.path(name))
    assert json.loads(manifest.schema.metadata[b"counts"]) == {"images": 2, "images_with_pairs": 1, "pairs": 1}


@pytest.mark.parametrize("alone", [range(7), range(7, 9), [0], [8], range(9), []])
def test_hugging_face_datasets_read_tars_whose_images_have_one_mask_or_one_noun(alone, tmp_path, monkeypatch):
    """It takes the types from the first five samples, so null must not stand where others have numbers."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    samples = [make_sample(rectangle(20, 20, 1, 1, 9, 9), f"000000-{number:05d}-000") for number in range(9)]
    for number, sample in enumerate(samples):
        margin = None if number in alone else number / 8
        sample.row.update(noun_margin=margin, mask_margin=margin, clip_score=int(number % 2), proposal_score=1)
    with (tmp_path / "000000.tar").open("wb") as file:
        write_tar(samples, ShardsConfig(), file)
    files = {"train": [str(tmp_path / "000000.tar")]}
    dataset = load_dataset("webdataset", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    expected = [2.0 if number in alone else number / 8 for number in range(9)]
    assert [sample["json"]["noun_margin"] for sample in dataset] == expected
    assert [sample["json"]["mask_margin"] for sample in dataset] == expected
    for sample in dataset:
        jsonschema.validate(sample["json"], schemas.sample_schema())
