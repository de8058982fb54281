"""FiftyOne: images with masks by path. What FiftyOne itself makes of it is tested where it is installed."""

import json

import numpy as np
import pytest
from PIL import Image

from jobs import export as export_job
from pipeline.export.fiftyone import export_fiftyone
from pipeline.masks import rle
from tests.export.changed import changed_copy, pairs_of


def test_samples_name_images_and_masks(mined, world, tmp_path, capsys):
    folder = tmp_path / "folder"
    assert export_job.main([str(mined), "--format", "fiftyone", "--to", str(folder)]) == 0
    pairs = pairs_of(mined)
    samples = json.loads((folder / "samples.json").read_text())["samples"]
    assert f"{len(pairs)} pairs on {len(samples)} images" in capsys.readouterr().out
    detections = [(sample, detection) for sample in samples for detection in sample["pairs"]["detections"]]
    for pair, (sample, detection) in zip(pairs, detections, strict=True):
        assert sample["filepath"] == pair["image_uri"]
        assert sample["image_id"] == pair["image_id"]
        width, height = Image.open(sample["filepath"]).size
        x, y, box_width, box_height = detection["bounding_box"]
        left, top = round(x * width), round(y * height)
        [expected] = rle.decode([pair["mask_rle"].encode()], height, width)
        part = np.asarray(Image.open(detection["mask_path"]))
        assert part.shape == (round(box_height * height), round(box_width * width))
        found = np.zeros((height, width), np.uint8)
        found[top : top + part.shape[0], left : left + part.shape[1]] = part
        assert (found == 255 * expected).all()
        assert (detection["label"], detection["confidence"]) == (pair["noun"], pair["clip_score"])
        assert detection["caption"] == pair["caption"]
    assert len(list((folder / "masks").rglob("*.png"))) == len(pairs)


def test_images_that_are_elsewhere(mined, world, tmp_path, capsys):
    remote = changed_copy(
        mined, tmp_path / "remote", lambda row: {"image_uri": f"s3://bucket/{row['image_uri'].rpartition('/')[2]}"}
    )
    arguments = [str(remote), "--format", "fiftyone", "--to", str(tmp_path / "folder")]
    assert export_job.main(arguments) == 2
    assert "name it with --images" in capsys.readouterr().err
    assert not (tmp_path / "folder" / "samples.json").exists()
    assert export_job.main([*arguments, "--images", str(world / "images")]) == 0
    samples = json.loads((tmp_path / "folder" / "samples.json").read_text())["samples"]
    assert {sample["filepath"] for sample in samples} == {pair["image_uri"] for pair in pairs_of(mined)}
    assert export_job.main([str(mined), "--format", "fiftyone", "--to", "s3://bucket/folder"]) == 2
    assert "FiftyOne reads local files only" in capsys.readouterr().err


def test_fiftyone_reads_it(mined, tmp_path):
    """Its importer, which needs none of its database."""
    importers = pytest.importorskip("fiftyone.utils.data.importers")
    export_fiftyone(str(mined), str(tmp_path))
    importer = importers.LegacyFiftyOneDatasetImporter(str(tmp_path))
    importer.setup()
    found = [detection for sample in importer for detection in sample.pairs.detections]
    for pair, detection in zip(pairs_of(mined), found, strict=True):
        assert (detection.key, detection.label, detection.caption) == (pair["key"], pair["noun"], pair["caption"])
        [mask] = rle.decode([pair["mask_rle"].encode()], pair["image_height"], pair["image_width"])
        box = mask[pair["box_y0"] : pair["box_y1"], pair["box_x0"] : pair["box_x1"]]
        assert (detection.get_mask() == 255 * box).all()
