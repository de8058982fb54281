"""Distributions with something missing or wrong: the message names the file and where it comes from."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from pipeline.errors import UserError
from pipeline.evaluation.datasets import DatasetConfig, open_dataset
from tests.evaluation import distributions
from tests.evaluation.distributions import MINIATURES, SIZE, write_image, write_png

_ADE, _FULL = "ADEChallengeData2016.zip", "https://ade20k.csail.mit.edu/request_data/"
_CONTEXT, _VOC = "pascal-context/trainval.tar.gz", "VOCtrainval_11-May-2012.tar"
_STUFF, _PANOPTIC = "stuffthingmaps_trainval2017.zip", "panoptic_annotations_trainval2017.zip"

PARTS = [
    (distributions.ade20k_150, "objectInfo150.txt", _ADE),
    (distributions.ade20k_150, "images/validation", _ADE),
    (distributions.ade20k_150, "annotations/validation/ADE_val_00000002.png", _ADE),
    (distributions.ade20k_847, "ADE20K_2021_17_01/index_ade20k.pkl", _FULL),
    (distributions.ade20k_847, "ADE20K_2021_17_01/images/ADE/validation", _FULL),
    (distributions.pascal_context_459, "labels.txt", _CONTEXT),
    (distributions.pascal_context_459, "trainval/2008_000002.mat", _CONTEXT),
    (distributions.pascal_context_59, "59_labels.txt", "pascal-context/59_labels.txt"),
    (distributions.pascal_context_59, "ImageSets/Main/val.txt", "VOCtrainval_03-May-2010.tar"),
    (distributions.voc_20, "ImageSets/Segmentation/val.txt", _VOC),
    (distributions.voc_20, "SegmentationClass", _VOC),
    (distributions.voc_20, "JPEGImages/2007_000042.jpg", _VOC),
    (distributions.coco_stuff_171, "stuffthingmaps/val2017", _STUFF),
    (distributions.coco_stuff_171, "labels.txt", "github.com/nightrome/cocostuff"),
    (distributions.coco_stuff_171, "val2017", "zips/val2017.zip"),
    (distributions.coco_panoptic, "annotations/panoptic_val2017.json", _PANOPTIC),
    (distributions.coco_panoptic, "annotations/panoptic_val2017", "annotations/panoptic_val2017.zip"),
    (distributions.coco_panoptic, "val2017/000000000139.jpg", "zips/val2017.zip"),
    (distributions.micro_world, "panoptic.json", "jobs.demo"),
    (distributions.folder, "classes.txt", "dataset.classes"),
]


@pytest.mark.parametrize(("write", "part", "origin"), PARTS)
def test_a_part_is_missing(write, part, origin, tmp_path):
    config = write(tmp_path / "data").config
    path = tmp_path / "data" / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError) as raised:
        open_dataset(config)
    message = str(raised.value)
    assert message.startswith("dataset.root: ")
    assert str(path) in message
    assert origin in message


@pytest.mark.parametrize("write", MINIATURES)
def test_no_such_directory(write, tmp_path):
    config = write(tmp_path / "data").config
    config.root = str(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"dataset\.root: .*nowhere"):
        open_dataset(config)


def test_ade20k_847_file_of_the_index_is_missing(tmp_path):
    miniature = distributions.ade20k_847(tmp_path)
    [image_id, *_] = miniature.images
    miniature.images[image_id].unlink()
    with pytest.raises(UserError, match=rf"dataset\.root: .*{image_id}\.jpg is missing.*request_data"):
        open_dataset(miniature.config).read(image_id)


@pytest.mark.parametrize("write", [distributions.ade20k_150, distributions.folder, distributions.micro_world])
def test_labels_of_another_size_than_the_image(write, tmp_path):
    miniature = write(tmp_path / "data")
    [image_id, *_] = miniature.images
    write_image(miniature.images[image_id], size=(20, 30))
    with pytest.raises(UserError, match=r"png is 14×9, its image .*jpg is 30×20") as raised:
        open_dataset(miniature.config).read(image_id)
    assert "EXIF" not in str(raised.value)
    write_image(miniature.images[image_id], size=SIZE[::-1])
    with pytest.raises(UserError, match="EXIF"):
        open_dataset(miniature.config).read(image_id)


LABEL_FILES = [
    (distributions.ade20k_150, "annotations/validation/ADE_val_00000001.png", 151),
    (distributions.voc_20, "SegmentationClass/2007_000033.png", 21),
    (distributions.coco_stuff_171, "stuffthingmaps/val2017/000000000139.png", 182),
    (distributions.folder, "labels/c.png", 3),
]


@pytest.mark.parametrize(("write", "path", "value"), LABEL_FILES)
def test_label_values_outside_the_classes(write, path, value, tmp_path):
    miniature = write(tmp_path / "data")
    write_png(tmp_path / "data" / path, np.full(SIZE, value, np.uint8))
    with pytest.raises(UserError, match=rf"{path} holds label values outside the list of classes: {value}$"):
        open_dataset(miniature.config).read(Path(path).stem)


def test_pascal_context_number_outside_the_list(tmp_path):
    miniature = distributions.pascal_context_459(tmp_path / "data")
    scipy.io.savemat(tmp_path / "data/trainval/2008_000002.mat", {"LabelMap": np.full(SIZE, 460, np.uint16)})
    with pytest.raises(UserError, match=r"2008_000002\.mat holds label values .*: 460"):
        open_dataset(miniature.config).read("2008_000002")


def test_a_segment_that_the_json_does_not_list(tmp_path):
    miniature = distributions.coco_panoptic(tmp_path / "data")
    path = tmp_path / "data/annotations/panoptic_val2017/000000000139.png"
    write_png(path, np.full((*SIZE, 3), 1, np.uint8))
    with pytest.raises(UserError, match=r"000000000139\.png holds segment 65793, which the JSON does not list"):
        open_dataset(miniature.config).read("139")


def test_label_images_that_are_none(tmp_path):
    miniature = distributions.voc_20(tmp_path / "data")
    path = tmp_path / "data/SegmentationClass/2007_000033.png"
    dataset = open_dataset(miniature.config)
    Image.open(path).convert("RGB").save(path)
    with pytest.raises(UserError, match=r"2007_000033\.png has channels: 3 of uint8"):
        dataset.read("2007_000033")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match=r"2007_000033\.png is not a readable image"):
        dataset.read("2007_000033")
    miniature.images["2007_000042"].write_text("no image")
    with pytest.raises(UserError, match=r"2007_000042\.jpg is not a readable image"):
        dataset.read("2007_000042")


def test_a_mat_file_that_is_none(tmp_path):
    miniature = distributions.pascal_context_59(tmp_path / "data")
    path = tmp_path / "data/trainval/2008_000002.mat"
    for damage in (lambda: path.write_bytes(b"no MATLAB file"), lambda: scipy.io.savemat(path, {"Other": np.eye(2)})):
        damage()
        with pytest.raises(UserError, match=r"2008_000002\.mat is not a MATLAB file with a LabelMap"):
            open_dataset(miniature.config).read("2008_000002")


class _Evil:
    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self):
        return os.mkdir, (self._path,)


def test_the_index_cannot_call_functions(tmp_path):
    config = distributions.ade20k_847(tmp_path / "data").config
    index = Path(config.root) / "index_ade20k.pkl"
    index.write_bytes(pickle.dumps({"objectnames": _Evil(str(tmp_path / "made"))}))
    with pytest.raises(UserError, match=r"index_ade20k\.pkl is not a pickle of lists.*would call .*mkdir"):
        open_dataset(config)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [{"filename": []}, {"objectnames": ["wall"], "folder": [], "filename": []}, [1]])
def test_another_index(content, tmp_path):
    config = distributions.ade20k_847(tmp_path / "data").config
    (Path(config.root) / "index_ade20k.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"index_ade20k\.pkl .*request_data"):
        open_dataset(config)


def test_another_list_of_classes(tmp_path):
    root = tmp_path / "ade"
    config = distributions.ade20k_150(root).config
    (root / "objectInfo150.txt").write_text("Idx\tName\n1\twall\n")
    with pytest.raises(UserError, match=r"objectInfo150\.txt does not list the classes 1 to 150"):
        open_dataset(config)
    root = tmp_path / "context"
    config = distributions.pascal_context_59(root).config
    (root / "59_labels.txt").write_text("1: unicorn\n")
    with pytest.raises(UserError, match=r"59_labels\.txt names unicorn, which .*/labels\.txt does not"):
        open_dataset(config)
    (root / "labels.txt").write_text("accordion\n")
    with pytest.raises(UserError, match=r'labels\.txt holds "accordion"'):
        open_dataset(config)
    root = tmp_path / "panoptic"
    config = distributions.coco_panoptic(root).config
    (root / "annotations/panoptic_val2017.json").write_text(json.dumps({"images": []}))
    with pytest.raises(UserError, match=r"panoptic_val2017\.json is not a COCO panoptic annotation file"):
        open_dataset(config)


def test_splits_and_kinds_that_are_not_there(tmp_path):
    config = distributions.ade20k_847(tmp_path / "data").config
    config.split = "test"
    with pytest.raises(UserError, match=r"dataset\.split: ade20k_847 has validation and training, not test"):
        open_dataset(config)
    with pytest.raises(UserError, match=r"dataset\.kind: mapillary is none of ade20k_150, "):
        open_dataset(DatasetConfig("mapillary", str(tmp_path)))


def test_folders_that_cannot_be_meant(tmp_path):
    root = tmp_path / "data"
    config = distributions.folder(root).config
    write_png(root / "labels/alone.png", np.zeros(SIZE, np.uint8))
    with pytest.raises(UserError, match=r"dataset\.images: no image in .*/images belongs to .*labels/alone\.png$"):
        open_dataset(config)
    (root / "labels/alone.png").unlink()
    write_png(root / "images/c.png", np.zeros(SIZE, np.uint8))
    with pytest.raises(UserError, match=r"images/c\.jpg and c\.png have the same name"):
        open_dataset(config)
    (root / "images/c.png").unlink()
    config.ignore = 2
    with pytest.raises(UserError, match=r"dataset\.ignore: 2 and the 3 classes.* overlap"):
        open_dataset(config)
    config.ignore = 70000
    with pytest.raises(UserError, match=r"dataset\.ignore is 70000; it must be .*at most 65_535"):
        open_dataset(config)
    config.ignore = None
    (root / "classes.txt").write_text("a\na\n")
    with pytest.raises(UserError, match=r"dataset\.classes: .*classes\.txt.*'a'"):
        open_dataset(config)
