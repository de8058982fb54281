"""Annotations as people's programs write them: what is odd costs itself, and what can be read is read."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from pipeline.errors import UserError
from pipeline.images import ImageProblem, ImagesConfig, UprightJpeg, read_upright
from pipeline.masks import rle
from pipeline.proposals import load_proposer
from pipeline.proposals.coco_annotations import CocoFile
from pipeline.proposals.coco_segmentations import encode, read_segmentation
from pipeline.proposals.ground_truth import all_annotated
from tests.proposals.coco_files import (
    BOX,
    CATEGORIES,
    ELSEWHERE,
    HEIGHT,
    IMAGE,
    INSIDE,
    OTHER,
    WIDTH,
    config,
    mined,
    pixels,
)

RUNS = [0, 12, 36]

DAMAGED = {
    "two points": ([[1, 2, 3, 4]], "fewer than three points"),
    "odd number": ([[1, 2, 3, 4, 5, 6, 7]], "odd number of coordinates"),
    "empty part": ([BOX, []], "fewer than three points"),
    "text": ([[1, 2, 3, "x", 5, 6]], "no numbers"),
    "null among them": ([[1, 2, 3, None, 5, 6]], "no numbers"),
    "NaN": ([[1, 2, 3, float("nan"), 5, 6]], "no numbers"),
    "infinity": ([[1, 2, 3, float("inf"), 5, 6]], "no numbers"),
    "far away": ([[1, 2, 3, 1e12, 5, 6]], "leave their image by far"),
    "very far": ([[1, 2, 3, 10**400, 5, 6]], "no numbers"),
    "pairs": ([[[1, 2], [3, 4], [5, 6]]], "no numbers"),
    "mixed": ([BOX, 7], "no list of x and y"),
    "normalised": ([[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]], "smaller than a pixel"),
    "other size": ({"size": [8, 6], "counts": RUNS}, "for another size"),
    "no size": ({"counts": RUNS}, "for another size"),
    "size of text": ({"size": "6x8", "counts": RUNS}, "for another size"),
    "too few runs": ({"size": [6, 8], "counts": [0, 47]}, "do not fill their image"),
    "negative runs": ({"size": [6, 8], "counts": [-1, 49]}, "do not fill their image"),
    "no runs": ({"size": [6, 8], "counts": []}, "do not fill their image"),
    "broken runs": ({"size": [6, 8], "counts": [0.5, 47.5]}, "do not fill their image"),
    "not ASCII": ({"size": [6, 8], "counts": "ü"}, "damaged run-length code"),
    "no code": ({"size": [6, 8], "counts": "zz"}, "damaged run-length code"),
    "cut bytes": ({"size": [6, 8], "counts": "b'00"}, "damaged run-length code"),
    "null counts": ({"size": [6, 8], "counts": None}, "without counts"),
    "number": (5, "neither polygons nor a run-length code"),
    "word": ("RLE", "neither polygons nor a run-length code"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_an_odd_object_costs_itself_and_is_counted(write, kind):
    segmentation, says = DAMAGED[kind]
    annotations = write({"segmentation": segmentation}, {"segmentation": [BOX]}, {"segmentation": segmentation})
    assert pixels("1", annotations) == [INSIDE.tolist()]
    assert all_annotated(annotations).categories("1") == ["cat"]
    warning = load_proposer(config(annotations)).check()
    assert f"2 of annotations {'have' if 'smaller' not in says else 'are'}" in warning
    assert says in warning
    assert "annotation 10 of image 1" in warning
    assert annotations in warning


@pytest.mark.parametrize("kind", DAMAGED)
def test_an_image_whose_objects_are_all_damaged_says_so(write, kind):
    shard = mined(write({"segmentation": DAMAGED[kind][0]}), "1", "2")
    [reject] = shard.rejects
    assert (reject["image_id"], reject["reason"]) == ("1", "damaged_annotation")
    assert DAMAGED[kind][1] in reject["detail"]
    assert len(shard.images[1].proposals.masks) == 1


@pytest.mark.parametrize("segmentation", [None, {}, "", [], [[]], "absent"], ids=str)
def test_an_object_without_a_mask(write, segmentation):
    box = {"bbox": [0, 0, 3, 3]} | ({} if segmentation == "absent" else {"segmentation": segmentation})
    annotations = write(box, {"segmentation": [BOX]}, {"image_id": 2, **box})
    assert pixels("1", annotations) == [INSIDE.tolist()]
    assert (
        "2 of annotations have no mask, such as annotation 10 of image 1" in load_proposer(config(annotations)).check()
    )
    shard = mined(write(box), "1")
    assert [reject["reason"] for reject in shard.rejects] == ["no_objects"]


@pytest.mark.parametrize(
    "segmentation",
    [
        BOX,
        [str(value) for value in BOX],
        [[f"{value}.0" for value in BOX]],
        {"size": [HEIGHT, WIDTH], "counts": [13, 3, 3, 3, 3, 3, 20]},
        {"size": ["6", 8.0], "counts": ["13", 3.0, 3, 3, 3, 3, 20]},
        {"size": [HEIGHT, WIDTH], "counts": rle.encode(INSIDE[None])[0].decode()},
        {"size": [HEIGHT, WIDTH], "counts": str(rle.encode(INSIDE[None])[0])},
    ],
    ids=str,
)
def test_what_can_be_read(write, segmentation):
    annotations = write({"segmentation": segmentation})
    assert pixels("1", annotations) == [INSIDE.tolist()]
    assert load_proposer(config(annotations)).check() is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(0, 9) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    max_leaves=16,
)


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_any_segmentation_is_a_mask_or_none_or_damaged(value):
    try:
        found = read_segmentation(value, HEIGHT, WIDTH)
    except ValueError:
        return
    if found is not None:
        assert rle.decode([encode(found, HEIGHT, WIDTH)], HEIGHT, WIDTH).shape == (1, HEIGHT, WIDTH)


RECORD = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "image_id": st.sampled_from([1, "1", 1.0, 2]) | JSON,
        "category_id": st.sampled_from([3, "3"]) | JSON,
        "segmentation": JSON,
        "iscrowd": JSON,
        "height": JSON,
        "width": JSON,
        "file_name": JSON,
    },
)


@settings(max_examples=150, deadline=None)
@given(images=st.lists(RECORD | JSON, max_size=4), annotations=st.lists(RECORD | JSON, max_size=6))
def test_no_annotation_vanishes_and_none_costs_another(tmp_path_factory, images, annotations):
    path = tmp_path_factory.mktemp("fuzz") / "instances.json"
    image = IMAGE | {"id": "good"}
    good = {"id": 0, "image_id": "good", "category_id": "4", "segmentation": [BOX]}
    content = {"categories": CATEGORIES, "images": [*images, image], "annotations": [*annotations, good]}
    path.write_text(json.dumps(content))
    file = CocoFile(str(path))
    indexed = sum(map(len, file.instances.values()))
    about = (found.count for why, found in file.left_out.items() if why.startswith("of annotations"))
    waiting = sum(map(len, file.unsized.values()))
    assert indexed + waiting + sum(about) == len(annotations) + 1
    assert file.objects == indexed
    if "good" not in file.contradictory:
        assert INSIDE.tolist() in pixels("good", str(path))


@pytest.mark.parametrize(
    ("value", "crowd"),
    [
        ("0", False), (0, False), (0.0, False), (False, False), (None, False), ("", False), ("false", False),
        ("0.0", False), (float("nan"), False), ("1", True), (1, True), (1.0, True), (True, True), (-1, True),
        ("True", True),
    ],
)  # fmt: skip
def test_iscrowd_is_read_by_its_value(write, value, crowd):
    annotations = write({"segmentation": [BOX], "iscrowd": value})
    assert len(pixels("1", annotations)) == (not crowd)
    assert len(mined(annotations, "1", crowd=True).images[0].proposals.masks) == 1


def test_an_iscrowd_that_is_none_is_counted(write):
    annotations = write({"segmentation": [BOX], "iscrowd": [1]}, {"segmentation": ELSEWHERE})
    assert len(pixels("1", annotations)) == 1
    assert "1 of annotations have an iscrowd" in load_proposer(config(annotations)).check()


@pytest.mark.parametrize(("in_categories", "in_annotations"), [("3", 3), (3, "3"), (3.0, 3), (3, 3.0), ("x", "x")])
def test_category_ids_are_compared_as_text(write, in_categories, in_annotations):
    categories = [{"id": in_categories, "name": "cat"}, CATEGORIES[1]]
    annotations = write({"segmentation": [BOX], "category_id": in_annotations}, categories=categories)
    assert all_annotated(annotations).categories("1") == ["cat"]


def test_a_category_id_twice(write):
    with pytest.raises(UserError, match=r"^proposals\.options\.annotations: .*category 3 both 'cat' and 'cow'"):
        load_proposer(config(write(categories=[*CATEGORIES, {"id": "3", "name": "cow"}])))
    assert load_proposer(config(write(categories=[*CATEGORIES, CATEGORIES[0]]))).check() is None


def test_a_category_without_a_name_costs_its_objects(write):
    for place in ({}, {"categories": CATEGORIES, "annotations": None}):  # categories after and before the annotations
        annotations = write({"segmentation": [BOX], "category_id": 8}, {"segmentation": ELSEWHERE})
        content = json.loads(Path(annotations).read_text())
        Path(annotations).write_text(json.dumps(place | content))
        assert all_annotated(annotations).categories("1") == ["cat"]
        warning = load_proposer(config(annotations)).check()
        assert "1 of annotations have a category that the file does not name, such as image 1: category 8" in warning


@pytest.mark.parametrize("image_id", [1, "1", 1.0, "1.0", " 1 "])
def test_image_ids_are_compared_as_text(write, image_id):
    for images in ([IMAGE, OTHER], [IMAGE | {"id": "1"}, OTHER], [IMAGE | {"id": 1.0}, OTHER]):
        annotations = write({"segmentation": [BOX], "image_id": image_id}, images=images)
        for asked in ("1", "1.0"):
            assert pixels(asked, annotations) == [INSIDE.tolist()]


@pytest.mark.parametrize(("height", "width"), [("6", "8"), (6.0, 8.0), ("6.0", 8)])
def test_sizes_as_text_and_floats(write, height, width):
    annotations = write({"segmentation": [BOX]}, images=[IMAGE | {"height": height, "width": width}, OTHER])
    assert pixels("1", annotations, (2 * HEIGHT, 2 * WIDTH)) == [INSIDE.repeat(2, 0).repeat(2, 1).tolist()]


@pytest.mark.parametrize(
    "size", [-1, 0, None, "?", 6.5, float("nan"), 2**40, True, "9" * 5000], ids=lambda v: str(v)[:9]
)
def test_an_unknown_size_is_that_of_the_picture_or_of_a_run_length_code(write, size):
    images = [IMAGE | {"height": size, "width": size}, OTHER]
    annotations = write({"segmentation": [BOX]}, {"segmentation": [[1, 2]]}, images=images)
    shard = mined(annotations, "1", "2")
    assert not shard.rejects
    found = shard.images[0].proposals
    assert rle.decode(found.masks, HEIGHT, WIDTH).astype(bool).tolist() == [INSIDE.tolist()]
    assert "the size of 1 images, such as 1, which their pictures tell" in load_proposer(config(annotations)).check()
    with pytest.raises(ImageProblem, match="does not know the size of image 1"):
        pixels("1", annotations)  # where nothing is known of the picture
    code = {"size": [HEIGHT, WIDTH], "counts": rle.encode(INSIDE[None])[0].decode()}
    annotations = write({"segmentation": ELSEWHERE}, {"segmentation": code}, images=images)
    assert len(pixels("1", annotations)) == 2


def test_an_unknown_size_is_that_of_the_picture_before_it_is_scaled(write):
    annotations = write({"segmentation": [[2 * value for value in BOX]]}, images=[{"id": 1}, OTHER])
    file = UprightJpeg(b"", WIDTH, HEIGHT, 2 * WIDTH, 2 * HEIGHT)
    [found] = load_proposer(config(annotations)).propose([np.zeros((HEIGHT, WIDTH, 3), np.uint8)], ["1"], [file])
    assert rle.decode(found.masks, HEIGHT, WIDTH).astype(bool).tolist() == [INSIDE.tolist()]


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [(5, INSIDE.T), (6, np.rot90(INSIDE)), (7, np.rot90(INSIDE, 2).T), (8, np.rot90(INSIDE, -1))],
)
def test_annotations_are_of_the_upright_picture_unless_only_the_stored_one_fits(write, orientation, stored):
    data = io.BytesIO()
    exif = Picture.Exif()
    exif[0x0112] = orientation
    Picture.new("RGB", (HEIGHT, WIDTH)).save(data, "JPEG", exif=exif)
    file = read_upright(data.getvalue(), ImagesConfig(min_side=1))
    assert (file.height, file.width) == (HEIGHT, WIDTH)
    upright = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    code = {"size": [WIDTH, HEIGHT], "counts": rle.encode(stored[None])[0].decode()}
    for annotations in (
        write({"segmentation": [BOX]}),
        write({"segmentation": code}, images=[IMAGE | {"height": WIDTH, "width": HEIGHT}, OTHER]),
    ):
        [found] = load_proposer(config(annotations)).propose([upright], ["1"], [file])
        assert rle.decode(found.masks, HEIGHT, WIDTH).astype(bool).tolist() == [INSIDE.tolist()]
    with pytest.raises(ImageProblem, match="turned by its EXIF orientation"):
        load_proposer(config(annotations)).propose([upright], ["1"])


def test_what_is_missing_or_too_much(write):
    """Each of these leaves the good object of image 2 as it is, and is counted."""
    odd = {
        "images that the file does not list": {"last": ({"image_id": 77, "category_id": 3, "segmentation": [BOX]},)},
        "annotations have no image_id": {"last": ({"category_id": 3, "segmentation": [BOX]},)},
        "annotations are no objects": {"last": (7, None, [])},
        "images are no objects": {"images": [None, IMAGE, OTHER]},
        "images have no id": {"images": [{"file_name": "x.jpg"}, IMAGE, OTHER]},
        "categories have no id or no name": {"categories": [*CATEGORIES, {"id": 5}]},
        "have no category": {"last": ({"image_id": 1, "segmentation": [BOX]},)},
    }
    for says, parts in odd.items():
        annotations = write(**parts)
        warning = load_proposer(config(annotations)).check()
        assert warning.startswith(f"proposals.options.annotations: of {annotations} is left out: ")
        assert says in warning
        assert pixels("2", annotations) == [INSIDE.tolist()]


def test_annotations_without_ids_or_with_the_same_and_images_listed_twice(write):
    for number in ({}, {"id": 99}):
        annotations = write(last=({"image_id": 1, "category_id": 3, "segmentation": [BOX], **number},))
        assert pixels("1", annotations) == pixels("2", annotations) == [INSIDE.tolist()]
    assert load_proposer(config(write(images=[IMAGE, OTHER, IMAGE]))).check() is None
    annotations = write({"segmentation": [BOX]}, images=[IMAGE, OTHER, IMAGE | {"file_name": "another.jpg"}])
    shard = mined(annotations, "1", "2")
    assert [(reject["image_id"], reject["reason"]) for reject in shard.rejects] == [("1", "listed_twice")]
    assert "1 of images have the id of another image" in load_proposer(config(annotations)).check()


def test_byte_order_marks_and_endless_integers(write):
    annotations = write({"segmentation": [BOX]}, info=["LONG"])
    path = Path(annotations)
    endless = path.read_text().replace('"LONG"', "9" * 5000).replace('"id": 10,', f'"id": {"7" * 5000},')
    path.write_bytes(b"\xef\xbb\xbf" + endless.encode())
    assert pixels("1", annotations) == pixels("2", annotations) == [INSIDE.tolist()]


def test_gzip_files(write):
    path = Path(write({"segmentation": [BOX]}))
    packed = gzip.compress(path.read_bytes())
    path.write_bytes(packed)
    assert pixels("1", str(path)) == [INSIDE.tolist()]
    path.write_bytes(packed[:-20])
    with pytest.raises(UserError, match="is not a whole gzip file"):
        all_annotated(str(path))


def test_a_json_list_is_named(tmp_path):
    (tmp_path / "tasks.json").write_text('\n[{"annotations": []}]')
    with pytest.raises(UserError, match=r"tasks\.json is a JSON list, not an object"):
        all_annotated(str(tmp_path / "tasks.json"))


def test_reasons_of_images_without_proposals(write):
    annotations = write({"segmentation": [BOX], "iscrowd": 1}, images=[IMAGE, OTHER, IMAGE | {"id": 5}])
    found = {reject["image_id"]: reject for reject in mined(annotations, "1", "2", "5", "6", min_area=0.9).rejects}
    assert {image: reject["reason"] for image, reject in found.items()} == {
        "1": "no_objects", "2": "no_objects", "5": "no_objects", "6": "not_annotated",
    }  # fmt: skip
    assert "proposals.options.crowd" in found["1"]["detail"]
    assert "proposals.min_area" in found["2"]["detail"]
