"""Names that the files of evaluation sets and annotations give for images and labels stay inside their folder."""

import json
import pickle

import pytest

from pipeline.captions.addresses import inner_name
from pipeline.errors import UserError
from pipeline.evaluation.datasets import open_dataset
from pipeline.proposals.coco_annotations import CocoFile
from pipeline.proposals.coco_masks import PanopticMasks
from tests.evaluation import distributions

OUTSIDE = ["reference://a::http://127.0.0.1:1/r.json", "file:///etc/hostname", "/etc/hostname", "../a.png", "x::y"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_outside_is_none(name):
    with pytest.raises(ValueError, match="no name inside the folder"):
        inner_name(name)
    assert inner_name("val/a.png") == "val/a.png"


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_evaluation_set_names_its_own_files_alone(name, tmp_path):
    config = distributions.coco_panoptic(tmp_path / "coco").config
    path = tmp_path / "coco/annotations/panoptic_val2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["file_name"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="no name inside the folder"):
        open_dataset(config)

    config = distributions.ade20k_847(tmp_path / "ade").config
    [path] = (tmp_path / "ade").rglob("*.pkl")
    index = pickle.loads(path.read_bytes())
    index["folder"] = [f"ADE20K_2021_17_01/{name}" for _ in index["folder"]]
    path.write_bytes(pickle.dumps(index, protocol=2).replace(b"numpy._core", b"numpy.core"))
    with pytest.raises(UserError, match="no name inside the folder"):
        open_dataset(config)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_panoptic_annotation_costs_its_image(name, tmp_path):
    document = {
        "images": [{"id": 1, "height": 2, "width": 2}],
        "categories": [{"id": 1, "name": "ball"}],
        "annotations": [{"image_id": 1, "file_name": name, "segments_info": [{"id": 1, "category_id": 1}]}],
    }
    (tmp_path / "panoptic.json").write_text(json.dumps(document))
    file = CocoFile(str(tmp_path / "panoptic.json"))
    assert "1" in file.damaged
    assert list(PanopticMasks(file, str(tmp_path), crowd=False)("1")) == []
