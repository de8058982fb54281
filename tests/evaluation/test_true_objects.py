"""The objects of data sets that tell things apart, and what of them is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from pipeline.errors import UserError
from pipeline.evaluation.datasets import DatasetConfig, LabelledImage, open_dataset
from pipeline.evaluation.datasets.ade20k_150_panoptic import THINGS
from tests.evaluation import distributions
from tests.evaluation.distributions import SIZE, Miniature, write_png


def first(miniature: Miniature) -> LabelledImage:
    return open_dataset(miniature.config).read(next(iter(miniature.labels)))


def test_ade20k_objects_lie_over_stuff(tmp_path):
    sample = first(distributions.ade20k_150_panoptic(tmp_path / "data"))
    segments, instances = sample.segments, sample.instances
    # The third of the 100 things is the cabinet, the 11th of 150 classes; the 63rd the basket, of 150 the 98th: THINGS.
    assert (THINGS[2], THINGS[62]) == (11, 98)
    assert instances.labels.tolist() == [10, 10, 97]
    truth = np.zeros((3, *SIZE), bool)
    truth[0, 2:5, 1:6] = truth[1, 4:7, 5:9] = truth[2, 7:9, 0:3] = True
    truth[0, 4, 5] = False  # the second one was drawn over it
    assert (instances.masks.decode().astype(bool) == truth).all()
    assert instances.areas.tolist() == [14, 12, 6]
    stuff = [label for label in np.unique(sample.labels).tolist() if label < 150 and label + 1 not in THINGS]
    assert segments.labels.tolist() == [*stuff, 10, 10, 97]
    for index, label in enumerate(stuff, start=1):
        before = sample.labels == label
        assert ((segments.ids == index) == (before & ~truth.any(axis=0))).all()
        assert segments.areas[index - 1] == before.sum()  # as the preparation states it, from before the things
    for index, mask in enumerate(truth, start=len(stuff) + 1):
        assert ((segments.ids == index) == mask).all()
    assert not segments.crowd.any()
    objects = open_dataset(distributions.ade20k_150_panoptic(tmp_path / "again").config).objects
    assert (len(objects.things), objects.panoptic, objects.instances) == (100, True, True)


def test_cityscapes_groups_are_crowds_and_minus_one_is_nothing(tmp_path):
    miniature = distributions.cityscapes(tmp_path)
    sample = first(miniature)
    segments = sample.segments
    assert sample.instances is None
    car, person = 13, 11
    assert [(label, crowd) for label, crowd in zip(segments.labels, segments.crowd, strict=True) if label > 10] == [
        (person, True), (car, False), (car, False),
    ]  # fmt: skip
    one = segments.ids == len(segments.labels) - 1
    expected = np.zeros(SIZE, bool)
    expected[1:4, 1:5] = True
    expected[2, 2] = expected[3, 5] = False  # a licence plate; the other car is over the corner
    assert (one == expected).all()
    assert (segments.ids[0, 10:14] == 0).all()
    assert segments.ids[2, 2] == 0
    assert ((segments.ids > 0) == (miniature.labels["frankfurt_000000_000294"] >= 0)).all()
    assert sorted(open_dataset(miniature.config).objects.things) == list(range(11, 19))


def test_coco_instances_are_those_of_pycocotools(tmp_path):
    sample = first(distributions.coco_instances(tmp_path))
    instances = sample.instances
    content = json.loads((tmp_path / "annotations/instances_val2017.json").read_text())
    for index, record in enumerate(content["annotations"]):
        code = coco_mask.frPyObjects(record["segmentation"], *SIZE)
        mask = coco_mask.decode(coco_mask.merge(code) if isinstance(code, list) else code)
        assert (instances.masks.decode()[index] == mask).all()
    assert instances.labels.tolist() == [1, 1, 0]
    assert instances.areas.tolist() == [20.0, 15.0, 10.0]
    assert instances.crowd.tolist() == [False, False, True]
    assert (instances.checked, instances.not_exhaustive) == (None, frozenset())
    dataset = open_dataset(DatasetConfig("coco_instances", str(tmp_path)))
    assert len(dataset.read("99").instances.masks) == 0
    assert (dataset.objects.most_in_image, dataset.objects.most_of_class) == (100, 100)


def test_lvis_says_what_was_looked_for(tmp_path):
    dataset = open_dataset(distributions.lvis_v1(tmp_path).config)
    assert dataset.objects.frequencies == ("c", "f", "r")
    assert (dataset.objects.most_in_image, dataset.objects.most_of_class) == (300, None)
    one, other = dataset.read("397133").instances, dataset.read("37777").instances
    assert one.labels.tolist() == [2, 0, 2]
    assert (one.checked, one.not_exhaustive) == ({0, 1, 2}, {2})
    assert (other.checked, other.not_exhaustive) == ({0, 1}, frozenset())


def panoptic(root: Path, change: Callable[[dict], None] = lambda content: None, things: bool = True) -> DatasetConfig:
    """COCO panoptic with `isthing`, changed."""
    miniature = distributions.coco_panoptic(root)
    path = root / "annotations/panoptic_val2017.json"
    content = json.loads(path.read_text())
    for category in content["categories"]:
        category |= {"isthing": int(category["id"] < 100)} if things else {}
    change(content)
    path.write_text(json.dumps(content))
    return miniature.config


def test_panoptic_segments_of_coco(tmp_path):
    dataset = open_dataset(panoptic(tmp_path))
    assert dataset.objects.things == {0, 1}
    assert not dataset.objects.instances
    segments = dataset.read("139").segments
    pixels = np.asarray(Image.open(tmp_path / "annotations/panoptic_val2017/000000000139.png")).astype(int)
    ids = pixels @ [1, 256, 65536]
    for index, number in enumerate((5, 70_000, 3_226_956, 16_000_000), start=1):
        assert ((segments.ids == index) == (ids == number)).all()
    assert ((segments.ids == 0) == (ids == 0)).all()
    assert segments.labels.tolist() == [0, 0, 2, 1]
    assert segments.crowd.tolist() == [False, True, False, False]
    assert segments.other_area.all()  # the miniature states 1 of each
    assert segments.areas.tolist() == [(ids == number).sum() for number in (5, 70_000, 3_226_956, 16_000_000)]


def test_without_isthing_only_labels_are_known(tmp_path):
    dataset = open_dataset(panoptic(tmp_path, things=False))
    assert dataset.objects is None
    assert dataset.read("139").segments is None


def test_instances_beside_panoptic_segments(tmp_path):
    config = panoptic(tmp_path)
    before = open_dataset(config).identity
    distributions.coco_instances(tmp_path)
    dataset = open_dataset(config)
    assert dataset.objects.instances
    assert dataset.identity.keys() - before.keys() == {"instances_sha256"}
    assert dataset.read("139").instances.labels.tolist() == [1, 1, 0]


def twice(content: dict) -> None:
    segments = content["annotations"][0]["segments_info"]
    segments[1]["id"] = segments[0]["id"]


def image_twice(content: dict) -> None:
    content["annotations"].append(content["annotations"][0])


def unknown_category(content: dict) -> None:
    content["annotations"][0]["segments_info"][0]["category_id"] = 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (twice, r"panoptic_val2017\.json is not a COCO panoptic .* segment 5 of image 139 is there twice"),
        (image_twice, r"image 139 is annotated twice"),
        (unknown_category, r"is not a COCO panoptic annotation file: KeyError: '4'"),
    ],
)
def test_panoptic_annotations_that_contradict_themselves(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        open_dataset(panoptic(tmp_path, change))


def test_a_listed_segment_without_pixels_is_one_that_nobody_can_find(tmp_path):
    def more(content: dict) -> None:
        content["annotations"][0]["segments_info"].append({"id": 9, "category_id": 1, "iscrowd": 0, "area": 40})

    segments = open_dataset(panoptic(tmp_path, more)).read("139").segments
    assert segments.labels.tolist() == [0, 0, 2, 1, 0]
    assert segments.areas[4] == 0
    assert segments.other_area[4]


def changed_instances(root: Path, change: Callable[[dict], None]) -> DatasetConfig:
    miniature = distributions.coco_instances(root)
    path = root / "annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return miniature.config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["annotations"][1].update(id=5), "annotation 5 is there twice"),
        (lambda c: c["categories"].append(c["categories"][0]), "category 1 is there twice"),
        (lambda c: c["images"].append(c["images"][0]), "image 139 is there twice"),
        (lambda c: c["annotations"][0].update(image_id=4), "annotation 5 is of image 4, which it does not list"),
        (lambda c: c["annotations"][0].update(category_id=2), "annotation 5 is of category 2, which it does not list"),
        (lambda c: c["images"][0].update(height=-1), "the size of image 139 is not known"),
        (lambda c: c.pop("categories"), "it has no 'categories'"),
        (lambda c: c["images"][0].update(file_name="../x.jpg"), "no name inside the folder"),
    ],
)
def test_instance_files_that_contradict_themselves(tmp_path, change, message):
    with pytest.raises(UserError, match=rf"instances_val2017\.json.*{message}"):
        open_dataset(changed_instances(tmp_path, change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["images"][0].update(height=14, width=9), "image 139 is 9×14, it is 14×9 .was the image turned"),
        (lambda c: c["annotations"][0].update(segmentation=[[1.0, 2.0]]), "annotation 5 cannot be read: such objects"),
        (lambda c: c["annotations"][0].update(area="large"), "the area of annotation 5 is no number"),
    ],
)
def test_objects_that_cannot_be_read(tmp_path, change, message):
    config = changed_instances(tmp_path, lambda c: (c["annotations"].__delitem__(2), change(c)))
    with pytest.raises(UserError, match=message):
        open_dataset(config).read("139")


def test_an_object_without_mask_is_one_that_nobody_can_find(tmp_path):
    config = changed_instances(tmp_path, lambda c: c["annotations"][0].update(segmentation=[], area=None))
    instances = open_dataset(config).read("139").instances
    assert instances.masks.areas[0] == instances.areas[0] == 0


def test_categories_and_images_that_the_panoptic_file_lacks(tmp_path):
    config = panoptic(tmp_path)
    changed_instances(tmp_path, lambda c: c["categories"][0].update(name="human"))
    with pytest.raises(UserError, match=r"categories that the panoptic annotations do not have .*: 1 \(human\)"):
        open_dataset(config)
    changed_instances(tmp_path, lambda c: (c["images"].pop(0), c["annotations"].clear()))
    with pytest.raises(UserError, match="does not list these images of the panoptic annotations: 139"):
        open_dataset(config)


def test_ade20k_objects_that_mean_nothing(tmp_path):
    miniature = distributions.ade20k_150_panoptic(tmp_path / "data")
    path = tmp_path / "data/annotations_instance/validation/ADE_val_00000001.png"
    channels = np.array(Image.open(path))
    channels[0, 0] = 101, 7, 0
    write_png(path, channels)
    with pytest.raises(UserError, match="objects of classes outside 1 to 100: 101"):
        first(miniature)
    channels[0, 0] = 5, 1, 0
    write_png(path, channels)
    with pytest.raises(UserError, match="objects that are of two classes: 1"):
        first(miniature)
    path.unlink()
    with pytest.raises(UserError, match=r"ADE_val_00000001\.png is missing.*annotations_instance\.tar"):
        open_dataset(miniature.config)


def test_lvis_of_another_kind(tmp_path):
    miniature = distributions.lvis_v1(tmp_path)
    path = tmp_path / "lvis_v1_val.json"
    content = json.loads(path.read_text())
    content["categories"][1].pop("frequency")
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="the frequency of a category is 'None', not r, c or f"):
        open_dataset(miniature.config)
    content["categories"][1]["frequency"] = "f"
    path.write_text(json.dumps(content))
    (tmp_path / "train2017/000000037777.jpg").unlink()
    with pytest.raises(UserError, match=r"train2017/000000037777\.jpg is missing"):
        open_dataset(miniature.config)
