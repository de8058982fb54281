"""Hugging Face `datasets`: a folder that `load_dataset` reads."""

import io
import os
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from jobs import export as export_job
from pipeline.export.hugging_face import export_datasets
from tests.export.changed import changed_copy, pairs_of


@pytest.fixture
def load(monkeypatch, tmp_path):
    """`datasets.load_dataset`, which asks nobody outside."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    return lambda folder: datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))


def stored_samples(mined) -> dict[str, dict]:
    """The samples of all shards by key, as training code of others reads them."""
    tars = [str(tar) for tar in sorted((mined / "shards").iterdir())]
    return {sample["__key__"]: sample for sample in webdataset.WebDataset(tars, shardshuffle=False)}


def test_load_dataset_gives_images_masks_nouns_and_captions(mined, tmp_path, capsys, load):
    folder = tmp_path / "folder"
    assert export_job.main([str(mined), "--format", "datasets", "--to", str(folder)]) == 0
    pairs, samples, rows = pairs_of(mined), stored_samples(mined), load(folder)
    assert f"{len(pairs)} pairs, 4 shards" in capsys.readouterr().out
    assert len(rows) == len(pairs)
    for pair, row in zip(pairs, rows, strict=True):
        sample = samples[pair["key"]]
        stored = Image.open(io.BytesIO(sample["jpg"])), Image.open(io.BytesIO(sample["mask.png"]))
        for found, expected in zip((row.pop("image"), row.pop("mask")), stored, strict=True):
            assert found.size == expected.size
            assert (np.asarray(found) == np.asarray(expected)).all()
        assert row == {name: value for name, value in pair.items() if not name.startswith(("tar_", "crc"))}
    assert sample["txt"].decode() == row["noun"]
    card = (folder / "README.md").read_text()
    assert "| `clip_score` | cosine similarity of the masked region and the noun |" in card


def test_the_same_again_redoes_what_is_absent_or_out_of_date(mined, tmp_path):
    folder, data = tmp_path / "folder", tmp_path / "folder" / "data"
    assert export_datasets(str(mined), str(folder)).shards_before == 0
    whole = {file.name: file.read_bytes() for file in data.iterdir()}
    (data / "000000.parquet").unlink()
    (data / "000001.parquet").write_bytes(b"PAR1 and not the end of it")
    shutil.copy(data / "000003.parquet", data / "000002.parquet")
    (data / ".000000.parquet.0123456789abcdef.tmp").write_bytes(b"of a run that was killed")
    assert export_datasets(str(mined), str(folder)).shards_before == 1
    assert {file.name: file.read_bytes() for file in data.iterdir()} == whole

    # Mined again with other captions: everything is out of date.
    other = changed_copy(mined, tmp_path / "other", lambda row: {"caption": "another"})
    assert export_datasets(str(other), str(folder)).shards_before == 0
    assert {caption for file in data.iterdir() for caption in pq.read_table(file)["caption"].to_pylist()} == {"another"}


def test_what_cannot_be_exported(mined, tmp_path, capsys):
    def error(dataset, folder) -> str:
        assert export_job.main([str(dataset), "--format", "datasets", "--to", str(folder)]) == 2
        assert not (folder / "README.md").exists()
        return capsys.readouterr().err

    other = tmp_path / "other" / "data"
    other.mkdir(parents=True)
    (other / "train.parquet").write_bytes(b"somebody's")
    assert "train.parquet, which is not of this dataset" in error(mined, tmp_path / "other")
    dataset = tmp_path / "copy"
    shutil.copytree(mined, dataset)
    tar = dataset / "shards" / "000001.tar"
    tar.write_bytes(tar.read_bytes()[:-20_000])
    assert "000001.tar is damaged" in error(dataset, tmp_path / "folder")
    tar.unlink()
    assert "000001.tar is damaged: missing" in error(dataset, tmp_path / "folder")


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_to_s3(s3, s3_uri, mined, tmp_path):
    assert export_datasets(str(mined), f"{s3_uri}/out").shards_before == 0
    assert export_datasets(str(mined), f"{s3_uri}/out").shards_before == 4
    export_datasets(str(mined), str(tmp_path / "folder"))
    bucket, client = s3_uri.removeprefix("s3://"), s3.client()
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys} == {
        f"out/{path.relative_to(tmp_path / 'folder')}": path.read_bytes()
        for path in (tmp_path / "folder").rglob("*.*")
        if os.path.isfile(path)
    }
