"""Ground truth: COCO's own decoder and masks drawn by hand as the expectation."""

import contextlib
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.masks import rle
from pipeline.proposals import Proposals, ProposalsConfig, load_proposer
from tests.proposals.inputs import everything, grey

SQUARE = np.zeros((6, 8), bool)
SQUARE[1:4, 2:5] = True
STRIPES = np.zeros((6, 8), bool)
STRIPES[:, [0, 7]] = True
SPECK = np.zeros((6, 8), bool)
SPECK[5, 3] = True
# Down the columns of 6: column 0 and column 7 are set.
STRIPES_RUNS = [0, 6, 36, 6]


def document(*annotations: dict) -> dict:
    """A COCO instances file about image 7, 8 wide and 6 high, and image 8 without objects."""
    common = {"image_id": 7, "iscrowd": 0}
    return {
        "info": {"description": "by hand"},
        "images": [
            {"id": 7, "file_name": "7.jpg", "height": 6, "width": 8},
            {"id": 8, "file_name": "8.jpg", "height": 4, "width": 4},
        ],
        "annotations": [common | {"id": 50 + number} | annotation for number, annotation in enumerate(annotations)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 90, "name": "toothbrush"}],
    }


POLYGON = {"category_id": 3, "segmentation": [[2, 1, 5, 1, 5, 4, 2, 4]]}
TWO_POLYGONS = {
    "category_id": 90,
    "segmentation": [[0, 0, 1, 0, 1, 6, 0, 6], [7, 0, 8, 0, 8, 6, 7, 6]],
}
RUNS = {"category_id": 90, "segmentation": {"size": [6, 8], "counts": STRIPES_RUNS}}
COMPRESSED = {
    "category_id": 3,
    "segmentation": {"size": [6, 8], "counts": rle.encode(SPECK[None])[0].decode()},
}
CROWD = {"category_id": 3, "iscrowd": 1, "segmentation": {"size": [6, 8], "counts": [0, 48]}}


@pytest.fixture
def write(tmp_path):
    def write(content: dict | str) -> Path:
        path = tmp_path / "instances.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def decoded(proposals: Proposals) -> np.ndarray:
    return proposals.masks.decode()


def test_polygons_and_both_run_length_codes(write):
    proposer = load_proposer(everything(write(document(POLYGON, TWO_POLYGONS, RUNS, COMPRESSED, CROWD))))
    found, none, unknown = proposer.propose([grey(6, 8), grey(4, 4), grey(9, 9)], ["7", "8", "9"])
    np.testing.assert_array_equal(decoded(found), [SQUARE, STRIPES, STRIPES, SPECK])
    assert found.scores.dtype == np.float32
    assert found.scores.tolist() == [1, 1, 1, 1]
    assert proposer.categories("7") == ["cat", "toothbrush", "toothbrush", "cat"]
    for empty, size in ((none, (4, 4)), (unknown, (9, 9))):
        assert (len(empty.masks), empty.masks.size, len(empty.scores)) == (0, size, 0)
    assert proposer.categories("8") == proposer.categories("9") == []
    assert proposer.image_ids == ["7", "8"]


def test_crowds_on_request(write):
    proposer = load_proposer(everything(write(document(CROWD, POLYGON)), crowd=True))
    [found] = proposer.propose([grey(6, 8)], ["7"])
    np.testing.assert_array_equal(decoded(found), [np.ones((6, 8)), SQUARE])


def test_limits_hold_for_ground_truth_and_its_categories(write):
    path = write(document(POLYGON, RUNS, COMPRESSED, RUNS))
    config = ProposalsConfig(backend="ground_truth", min_area=0.1, options={"annotations": str(path)})
    proposer = load_proposer(config)
    [found] = proposer.propose([grey(6, 8)], ["7"])
    np.testing.assert_array_equal(decoded(found), [SQUARE, STRIPES])
    assert proposer.categories("7") == ["cat", "toothbrush"]


def test_identity_changes_with_the_annotations(write):
    path = write(document(POLYGON))
    first = load_proposer(everything(path)).identity
    assert first["annotations_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    write(document(RUNS))
    assert load_proposer(everything(path)).identity != first


@pytest.mark.parametrize("factor", [2, 5])
def test_masks_follow_an_image_scaled_up(write, factor):
    proposer = load_proposer(everything(write(document(POLYGON, RUNS))))
    [found] = proposer.propose([grey(6 * factor, 8 * factor)], ["7"])
    expected = np.stack([SQUARE, STRIPES]).repeat(factor, axis=1).repeat(factor, axis=2)
    np.testing.assert_array_equal(decoded(found), expected)


def test_no_mask_is_lost_when_an_image_is_scaled_down(write):
    proposer = load_proposer(everything(write(document(COMPRESSED, POLYGON))))
    [found] = proposer.propose([grey(2, 3)], ["7"])  # 8 × 6 to a width of 3: 2.25 rows
    assert found.masks.areas.min() >= 1
    assert len(found.masks) == len(proposer.categories("7")) == 2


@pytest.mark.parametrize(("height", "width"), [(8, 6), (6, 10), (12, 5)])
def test_an_image_of_another_aspect_is_a_problem_of_that_image(write, height, width):
    proposer = load_proposer(everything(write(document(POLYGON))))
    with pytest.raises(ImageProblem, match=rf"image 7 is {width}×{height}, .* 8×6") as caught:
        proposer.propose([grey(height, width)], ["7"])
    assert caught.value.reason == "annotation_size"
    assert ("EXIF" in caught.value.detail) == ((height, width) == (8, 6))


def without(content: dict, key: str) -> dict:
    return {name: value for name, value in content.items() if name != key}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "line 1, column 2"),
        ('{"info": [{"id": 1},', "line 1, column 21"),
        ("[]", "is a JSON list, not an object"),
        ("", "line 1, column 1"),
        ("{}", "no elements in images, annotations, categories"),
        (without(document(POLYGON), "categories"), "no elements in categories"),
        (without(document(POLYGON), "images"), "no elements in images"),
        (document(), "no elements in annotations"),
        (document({"caption": "a cat"}), r"annotations\[0\] has no 'category_id'"),
        (document(POLYGON | {"category_id": 4}), "categories that it does not name: 4"),
        (document(POLYGON) | {"images": [5]}, r"no image that has an id: .*images\[0\] is a int"),
    ],
)
def test_a_malformed_file_is_named_with_its_key(write, content, says):
    path = write(content)
    with pytest.raises(UserError, match=says) as caught:
        load_proposer(everything(path))
    assert "proposals.options.annotations" in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "instances.json"
    path.write_bytes(b'{"images": "\xff"}')
    with pytest.raises(UserError, match=r"proposals.options.annotations: .*not UTF-8"):
        load_proposer(everything(path))


def test_a_missing_file_is_named_with_its_key(tmp_path):
    with pytest.raises(UserError, match=r"proposals.options.annotations.*absent\.json"):
        load_proposer(everything(tmp_path / "absent.json"))


def test_no_file_named():
    with pytest.raises(UserError, match=r"^proposals\.options\.annotations is empty"):
        load_proposer(ProposalsConfig(backend="ground_truth"))


PANOPTIC_IDS = np.zeros((6, 8), np.int64)
PANOPTIC_IDS[SQUARE] = 5
PANOPTIC_IDS[STRIPES] = 300  # needs green
PANOPTIC_IDS[SPECK] = 70_000  # needs blue


@pytest.fixture
def panoptic(tmp_path):
    """A COCO panoptic file with its PNG beside it: segments 5, 300 and a crowd, 70000."""
    (tmp_path / "panoptic").mkdir()
    colours = np.stack([PANOPTIC_IDS // 256**place % 256 for place in range(3)], axis=-1)
    Image.fromarray(colours.astype(np.uint8)).save(tmp_path / "panoptic" / "7.png")
    segments = [
        {"id": 300, "category_id": 3, "iscrowd": 0},
        {"id": 70_000, "category_id": 3, "iscrowd": 1},
        {"id": 5, "category_id": 90, "iscrowd": 0},
        {"id": 6, "category_id": 90, "iscrowd": 0},  # not in the PNG
    ]
    annotation = {"image_id": 7, "file_name": "7.png", "segments_info": segments}
    content = document() | {"annotations": [annotation]}
    (tmp_path / "panoptic.json").write_text(json.dumps(content))
    return tmp_path / "panoptic.json"


def test_panoptic_segments(panoptic):
    proposer = load_proposer(everything(panoptic))
    found, none = proposer.propose([grey(6, 8), grey(4, 4)], ["7", "8"])
    np.testing.assert_array_equal(decoded(found), [STRIPES, SQUARE])
    assert proposer.categories("7") == ["cat", "toothbrush"]
    assert not none.masks


def test_panoptic_images_elsewhere(panoptic, tmp_path):
    (tmp_path / "panoptic").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"^proposals\.options\.panoptic_images"):
        load_proposer(everything(panoptic))
    config = everything(panoptic, panoptic_images=str(tmp_path / "elsewhere"), crowd=True)
    [found] = load_proposer(config).propose([grey(6, 8)], ["7"])
    np.testing.assert_array_equal(decoded(found), [STRIPES, SPECK, SQUARE])


def test_missing_and_damaged_pngs_are_problems_of_their_image(panoptic, tmp_path):
    png = tmp_path / "panoptic" / "7.png"
    proposer = load_proposer(everything(panoptic))

    def reason() -> str:
        with pytest.raises(ImageProblem, match=r"7\.png") as caught:
            proposer.propose([grey(6, 8)], ["7"])
        return caught.value.reason

    whole = png.read_bytes()
    png.write_bytes(whole[: len(whole) // 2])
    assert reason() == "damaged_annotation"
    png.write_bytes(b"no image")
    assert reason() == "damaged_annotation"
    Image.new("RGB", (9, 6)).save(png)
    assert reason() == "damaged_annotation"
    png.unlink()
    assert reason() == "missing_annotation"


def test_instances_equal_those_of_cocos_own_reader(coco_sample):
    path = coco_sample / "annotations" / "instances.json"
    proposer = load_proposer(everything(path))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    assert proposer.image_ids == [str(image_id) for image_id in coco.imgs]
    compared = 0
    for image_id, image in coco.imgs.items():
        annotations = [item for item in coco.imgToAnns[image_id] if not item["iscrowd"]]
        [found] = proposer.propose([grey(image["height"], image["width"])], [str(image_id)])
        names = [coco.cats[item["category_id"]]["name"] for item in annotations]
        assert proposer.categories(str(image_id)) == names
        for item, mask in zip(annotations, decoded(found), strict=True):
            np.testing.assert_array_equal(mask, coco.annToMask(item))
            compared += 1
    assert compared == 757  # 768 objects, 11 of them crowds


def test_panoptic_areas_and_boxes_equal_those_annotated(coco_sample):
    path = coco_sample / "annotations" / "panoptic.json"
    proposer = load_proposer(everything(path))
    content = json.loads(path.read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    for annotation in content["annotations"]:
        image_id = annotation["image_id"]
        [found] = proposer.propose([grey(*sizes[image_id])], [str(image_id)])
        segments = [item for item in annotation["segments_info"] if not item["iscrowd"]]
        areas = found.masks.areas
        assert areas.tolist() == [item["area"] for item in segments]
        boxes = found.masks.boxes()
        boxes[:, 2:] -= boxes[:, :2]
        assert boxes.tolist() == [item["bbox"] for item in segments]
