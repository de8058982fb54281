"""COCO instances JSON, as pycocotools reads it."""

import contextlib
import io
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from jobs import export as export_job
from pipeline.export.coco import export_coco
from pipeline.masks import rle
from tests.export.changed import changed_copy, pairs_of


def opened(path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_pycocotools_reads_what_was_mined(mined, world, tmp_path, capsys):
    to = tmp_path / "new" / "pairs.json"
    assert export_job.main([str(mined), "--format", "coco", "--to", str(to)]) == 0
    pairs, coco = pairs_of(mined), opened(to)
    shown = capsys.readouterr()
    assert f"{len(pairs)} pairs of {len({pair['noun'] for pair in pairs})} nouns on" in shown.out
    assert shown.err == ""
    assert sorted(category["name"] for category in coco.cats.values()) == sorted({pair["noun"] for pair in pairs})

    # The images are the world's own, by its ids, names and sizes.
    captioned = {image["id"]: image for image in json.loads((world / "captions.json").read_text())["images"]}
    assert coco.imgs.keys() == {int(pair["image_id"]) for pair in pairs}
    assert coco.dataset["info"]["images"] == str(world / "images")
    for number, image in coco.imgs.items():
        assert image["file_name"] == captioned[number]["file_name"]
        assert Image.open(world / "images" / image["file_name"]).size == (image["width"], image["height"])

    assert len(coco.anns) == len(pairs)
    for pair, annotation in zip(pairs, coco.loadAnns(sorted(coco.anns)), strict=True):
        [mask] = rle.decode([pair["mask_rle"].encode()], pair["image_height"], pair["image_width"])
        assert (coco.annToMask(annotation) == mask).all()
        assert annotation["area"] == mask.sum()
        assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()
        assert annotation["image_id"] == int(pair["image_id"])
        assert coco.cats[annotation["category_id"]]["name"] == pair["noun"]
        for name, column in {
            "score": "clip_score",
            **{name: name for name in ("caption", "key", "noun_margin")},
        }.items():
            assert annotation[name] == pair[column]


def test_ids_that_are_no_numbers_folders_and_scaled_images(mined, tmp_path, capsys):
    def change(row: dict) -> dict:
        number = int(row["image_id"])
        return {
            "image_id": f"photo-{number}",
            "image_uri": f"s3://bucket/photos/{number % 3}/{number}.jpg",
            "original_width": row["image_width"] * (3 if number == 5 else 1),
            "caption": '</script> "quoted" \u2028 جميل',
        }

    dataset = changed_copy(mined, tmp_path / "changed", change)
    assert export_job.main([str(dataset), "--format", "coco", "--to", str(tmp_path / "pairs.json")]) == 0
    assert "warning: 1 images were scaled down" in capsys.readouterr().err
    coco = opened(tmp_path / "pairs.json")
    assert coco.dataset["info"]["images"] == "s3://bucket/photos"
    assert sorted(coco.imgs) == list(range(1, len(coco.imgs) + 1))
    assert {image["file_name"] for image in coco.imgs.values()} == {
        f"{int(pair['image_id']) % 3}/{pair['image_id']}.jpg" for pair in pairs_of(mined)
    }
    for pair, annotation in zip(pairs_of(dataset), coco.loadAnns(sorted(coco.anns)), strict=True):
        image = coco.imgs[annotation["image_id"]]
        assert (image["source_id"], image["uri"]) == (pair["image_id"], pair["image_uri"])
        assert ("original_width" in image) == (pair["image_id"] == "photo-5")
        assert annotation["caption"] == pair["caption"]


def test_what_is_committed_is_exported(mined, tmp_path, capsys):
    dataset = tmp_path / "unfinished"
    shutil.copytree(mined, dataset)
    (dataset / "dataset.json").unlink()
    (dataset / "manifests" / "000001.parquet").unlink()
    assert export_job.main([str(dataset), "--format", "coco", "--to", str(tmp_path / "pairs.json")]) == 0
    assert "mining is not complete" in capsys.readouterr().err
    found = json.loads((tmp_path / "pairs.json").read_text())["annotations"]
    assert [annotation["key"] for annotation in found] == [pair["key"] for pair in pairs_of(dataset)]


def test_what_cannot_be_exported(mined, tmp_path, capsys):
    def error(dataset, to: str = str(tmp_path / "pairs.json")) -> str:
        assert export_job.main([str(dataset), "--format", "coco", "--to", to]) == 2
        assert not (tmp_path / "pairs.json").exists()
        return capsys.readouterr().err

    assert "error: output: cannot use" in error(tmp_path / "absent")
    assert "no config.yaml, so nothing that this program has made" in error(mined / "shards")
    assert "--to: cannot use" in error(mined, str(mined / "config.yaml" / "pairs.json"))
    dataset = tmp_path / "copy"
    shutil.copytree(mined, dataset)
    (dataset / "manifests" / "000001.parquet").write_bytes(b"PAR1")
    assert "000001.parquet is damaged" in error(dataset)
    shutil.rmtree(dataset / "manifests")
    assert "no shard is committed yet" in error(dataset)


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_from_s3_to_s3(s3, s3_uri, mined, tmp_path):
    bucket = s3_uri.removeprefix("s3://")
    for path in (mined / "config.yaml", mined / "dataset.json", *(mined / "manifests").iterdir()):
        s3.client().upload_file(os.fspath(path), bucket, f"mined/{path.relative_to(mined)}")
    export_coco(f"{s3_uri}/mined", f"{s3_uri}/out/pairs.json")
    export_coco(str(mined), str(tmp_path / "pairs.json"))
    found = json.loads(s3.client().get_object(Bucket=bucket, Key="out/pairs.json")["Body"].read())
    expected = json.loads((tmp_path / "pairs.json").read_text())
    assert found["info"].pop("dataset") == f"{s3_uri}/mined"
    assert expected["info"].pop("dataset") == str(mined)
    assert found == expected
    assert np.isfinite([annotation["score"] for annotation in found["annotations"]]).all()
