"""Proposals: COCO's own decoder, masks drawn by hand, and brute force as the expectation."""

import contextlib
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools.coco import COCO

from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.masks import rle
from pipeline.proposals import (
    GroundTruthConfig,
    Proposals,
    ProposalsConfig,
    SegmentsConfig,
    load_proposer,
)
from pipeline.proposals.filtering import keep
from pipeline.proposals.json_records import json_records
from pipeline.proposals.recall import best_overlaps, recall, recall_by_area

# ----------------------------------------------------------------------------------- filtering


def encode_boxes(boxes: list[tuple[int, int, int, int]], height: int, width: int) -> list[bytes]:
    stack = np.zeros((len(boxes), height, width), bool)
    for mask, (x0, y0, x1, y1) in zip(stack, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return rle.encode(stack)


@st.composite
def box_lists(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    """Boxes in a frame 12 × 16, many of them overlapping or empty."""
    starts = st.tuples(st.integers(0, 15), st.integers(0, 11))
    sizes = st.tuples(st.integers(0, 16), st.integers(0, 12))
    pairs = draw(st.lists(st.tuples(starts, sizes), max_size=80))
    return [(x, y, min(x + w, 16), min(y + h, 12)) for (x, y), (w, h) in pairs]


@given(box_lists(), st.data())
def test_keep_equals_greedy_suppression_written_out(boxes, data):
    scores = np.array(data.draw(st.lists(st.integers(0, 5), min_size=len(boxes), max_size=len(boxes))), np.float32)
    config = ProposalsConfig(
        min_area=data.draw(st.sampled_from([0.0, 0.05])),
        max_area=data.draw(st.sampled_from([0.5, 1.0])),
        max_iou=data.draw(st.sampled_from([0.3, 0.7, 1.0])),
        max_proposals=data.draw(st.sampled_from([1, 5, 100])),
    )
    pixels = [{(x, y) for x in range(x0, x1) for y in range(y0, y1)} for x0, y0, x1, y1 in boxes]
    expected: list[int] = []
    for place in sorted(range(len(boxes)), key=lambda place: (-scores[place], place)):
        area = len(pixels[place])
        fits = area > 0 and config.min_area * 192 <= area <= config.max_area * 192
        if fits and all(
            np.float32(len(pixels[place] & pixels[other]) / len(pixels[place] | pixels[other])) <= config.max_iou
            for other in expected
        ):
            expected.append(place)
    kept = keep(encode_boxes(boxes, 12, 16), scores, 12, 16, config)
    assert kept.tolist() == expected[: config.max_proposals]


def test_scores_that_are_not_numbers_come_last():
    rles = encode_boxes([(0, 0, 2, 2), (4, 4, 6, 6), (8, 8, 10, 10)], 12, 16)
    kept = keep(rles, np.array([np.nan, -1.0, 2.0]), 12, 16, ProposalsConfig())
    assert kept.tolist() == [2, 1, 0]


# ---------------------------------------------------------------------------------------- JSON

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=6), st.sampled_from([None, 1, "\t"]))
def test_json_records_are_those_of_json_loads(document, indent):
    text = f"\n {json.dumps(document, indent=indent)} \r\n"
    expected = [
        (key, index, element)
        for key, value in document.items()
        if isinstance(value, list)
        for index, element in enumerate(value)
    ]
    assert list(json_records(text)) == expected


@given(st.text(alphabet='{}[]",: 1ea\\n', max_size=24))
def test_json_records_refuse_what_json_loads_refuses(text):
    try:
        valid = isinstance(json.loads(text), dict)
    except json.JSONDecodeError:
        valid = False
    if valid:
        list(json_records(text))
    else:
        with pytest.raises(json.JSONDecodeError):
            list(json_records(text))


# -------------------------------------------------------------------------------- ground truth


def everything(annotations: Path | str, **options) -> ProposalsConfig:
    return ProposalsConfig(
        backend="ground_truth",
        min_area=0,
        max_area=1,
        max_iou=1,
        max_proposals=1000,
        ground_truth=GroundTruthConfig(annotations=str(annotations), **options),
    )


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


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
    return rle.decode(proposals.masks, proposals.height, proposals.width)


def test_polygons_and_both_run_length_codes(write):
    proposer = load_proposer(everything(write(document(POLYGON, TWO_POLYGONS, RUNS, COMPRESSED, CROWD))))
    found, none, unknown = proposer.propose([grey(6, 8), grey(4, 4), grey(9, 9)], ["7", "8", "9"])
    np.testing.assert_array_equal(decoded(found), [SQUARE, STRIPES, STRIPES, SPECK])
    assert found.scores.dtype == np.float32
    assert found.scores.tolist() == [1, 1, 1, 1]
    assert proposer.categories("7") == ["cat", "toothbrush", "toothbrush", "cat"]
    for empty, size in ((none, (4, 4)), (unknown, (9, 9))):
        assert (empty.masks, empty.height, empty.width, len(empty.scores)) == ([], *size, 0)
    assert proposer.categories("8") == proposer.categories("9") == []
    assert proposer.image_ids == ["7", "8"]


def test_crowds_on_request(write):
    proposer = load_proposer(everything(write(document(CROWD, POLYGON)), crowd=True))
    [found] = proposer.propose([grey(6, 8)], ["7"])
    np.testing.assert_array_equal(decoded(found), [np.ones((6, 8)), SQUARE])


def test_limits_hold_for_ground_truth_and_its_categories(write):
    path = write(document(POLYGON, RUNS, COMPRESSED, RUNS))
    config = ProposalsConfig(
        backend="ground_truth", min_area=0.1, ground_truth=GroundTruthConfig(annotations=str(path))
    )
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
    assert rle.areas(found.masks, 2, 3).min() >= 1
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
    assert "proposals.ground_truth.annotations" in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "instances.json"
    path.write_bytes(b'{"images": "\xff"}')
    with pytest.raises(UserError, match=r"proposals.ground_truth.annotations: .*not UTF-8"):
        load_proposer(everything(path))


def test_a_missing_file_is_named_with_its_key(tmp_path):
    with pytest.raises(UserError, match=r"proposals.ground_truth.annotations.*absent\.json"):
        load_proposer(everything(tmp_path / "absent.json"))


def test_no_file_named():
    with pytest.raises(UserError, match=r"^proposals\.ground_truth\.annotations is empty"):
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
    assert none.masks == []


def test_panoptic_images_elsewhere(panoptic, tmp_path):
    (tmp_path / "panoptic").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"^proposals\.ground_truth\.panoptic_images"):
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
        areas = rle.areas(found.masks, found.height, found.width)
        assert areas.tolist() == [item["area"] for item in segments]
        boxes = rle.boxes(found.masks, found.height, found.width)
        boxes[:, 2:] -= boxes[:, :2]
        assert boxes.tolist() == [item["bbox"] for item in segments]


# ------------------------------------------------------------------------------------ segments


def shapes() -> tuple[np.ndarray, np.ndarray]:
    """A disc, a rectangle and a triangle of flat colours on grey, and their masks."""
    rows, columns = np.mgrid[:360, :480]
    drawn = np.stack(
        [
            (rows - 100) ** 2 + (columns - 110) ** 2 < 70**2,
            (rows >= 200) & (rows < 320) & (columns >= 60) & (columns < 220),
            (columns >= 280) & (rows < 300) & (rows - 60 > columns - 280),
        ]
    )
    image = grey(360, 480)
    for mask, colour in zip(drawn, ((200, 30, 40), (30, 160, 60), (40, 60, 200)), strict=True):
        image[mask] = colour
    return image, drawn


def check_invariants(proposals: Proposals, image: np.ndarray, config: ProposalsConfig) -> None:
    height, width = image.shape[:2]
    assert (proposals.height, proposals.width) == (height, width)
    assert len(proposals.masks) == len(proposals.scores) <= config.max_proposals
    assert proposals.scores.dtype == np.float32
    assert (np.diff(proposals.scores) <= 0).all()
    areas = rle.areas(proposals.masks, height, width)
    assert (areas > 0).all()
    assert (areas >= config.min_area * height * width).all()
    assert (areas <= config.max_area * height * width).all()
    overlaps = rle.iou(proposals.masks, proposals.masks, height, width)
    assert (overlaps[~np.eye(len(overlaps), dtype=bool)] <= config.max_iou).all()


@pytest.mark.parametrize("factor", [1, 4])
def test_flat_shapes_are_found_among_the_first(factor):
    image, drawn = shapes()
    image = image.repeat(factor, axis=0).repeat(factor, axis=1)
    drawn = drawn.repeat(factor, axis=1).repeat(factor, axis=2)
    [found] = load_proposer(ProposalsConfig()).propose([image], ["shapes"])
    best = best_overlaps(rle.encode(drawn), found.masks[:10], *image.shape[:2])
    assert (best > 0.9).all()


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    st.sampled_from([0.0, 0.05]),
    st.sampled_from([0.5, 0.9]),
    st.sampled_from([1, 10, 100]),
    st.sampled_from([16, 32]),
)
def test_segments_keep_to_the_limits(image, min_area, max_iou, max_proposals, side):
    config = ProposalsConfig(
        min_area=min_area,
        max_iou=max_iou,
        max_proposals=max_proposals,
        segments=SegmentsConfig(working_side=side),
    )
    [found] = load_proposer(config).propose([image], ["noise"])
    check_invariants(found, image, config)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 30_000), (30_000, 2), (1, 5000), (7, 3)])
def test_segments_of_odd_sizes(size):
    config = ProposalsConfig()
    proposer = load_proposer(config)
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for image in (noise, grey(*size), noise[..., :1].repeat(3, axis=2)):
        [found] = proposer.propose([image], ["odd"])
        check_invariants(found, image, config)


def test_an_image_of_one_colour_has_no_segments():
    [found] = load_proposer(ProposalsConfig()).propose([grey(300, 500)], ["grey"])
    assert found.masks == []
    assert found.scores.shape == (0,)


def test_a_view_into_another_array_gives_the_same():
    image, _ = shapes()
    mirrored = np.ascontiguousarray(image[:, ::-1])
    proposer = load_proposer(ProposalsConfig())
    plain, view = proposer.propose([image, mirrored[:, ::-1]], ["a", "b"])
    assert plain.masks == view.masks


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), grey(0, 4)]
)
def test_arrays_that_are_no_images_are_refused(image):
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\]"):
        load_proposer(ProposalsConfig()).propose([image], ["1"])


@pytest.fixture(scope="module")
def sample(coco_sample):
    """Some annotated images of the sample with their objects and segments."""
    truth = load_proposer(everything(coco_sample / "annotations" / "instances.json"))
    image_ids = truth.image_ids[::12]
    images = []
    for image_id in image_ids:
        with Image.open(coco_sample / "images" / f"{int(image_id):012d}.jpg") as image:
            images.append(np.asarray(image.convert("RGB")))
    found = load_proposer(ProposalsConfig()).propose(images, image_ids)
    return images, truth.propose(images, image_ids), found


def test_segments_of_photographs_keep_to_the_limits(sample):
    images, _, found = sample
    for image, proposals in zip(images, found, strict=True):
        check_invariants(proposals, image, ProposalsConfig())
        assert len(proposals.masks) > 50


def test_segments_are_the_same_bytes_again(sample):
    images, _, found = sample
    again = load_proposer(ProposalsConfig()).propose(images[2:4], ["other", "ids"])
    for first, second in zip(found[2:4], again, strict=True):
        assert first.masks == second.masks
        assert first.scores.tobytes() == second.scores.tobytes()


def test_segments_cover_large_objects_of_photographs(sample):
    _, truth, found = sample
    best, areas = [], []
    for objects, proposals in zip(truth, found, strict=True):
        frame = (objects.height, objects.width)
        best.append(best_overlaps(objects.masks, proposals.masks, *frame))
        areas.append(rle.areas(objects.masks, *frame))
    measured = recall_by_area(np.concatenate(best), np.concatenate(areas))
    assert measured["large"].objects >= 10
    assert measured["large"].mean_best_iou > 0.5
    assert measured["large"].at_50 > 0.5


# -------------------------------------------------------------------------------------- recall


def test_recall_of_a_worked_example():
    # One row of 10 pixels. Object 0 is pixels 0–3: proposal 0 (0–2) covers 3 of 4 = 0.75.
    # Object 1 is pixels 6–9: proposal 1 (4–7) shares 2 of 6 = 1/3. Object 2 is pixel 5: 1/4.
    objects = encode_boxes([(0, 0, 4, 1), (6, 0, 10, 1), (5, 0, 6, 1)], 1, 10)
    proposals = encode_boxes([(0, 0, 3, 1), (4, 0, 8, 1)], 1, 10)
    best = best_overlaps(objects, proposals, 1, 10)
    np.testing.assert_allclose(best, [3 / 4, 1 / 3, 1 / 4], rtol=1e-6)
    measured = recall(best)
    assert measured.objects == 3
    assert measured.mean_best_iou == pytest.approx(4 / 9)
    assert (measured.at_50, measured.at_75) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_recall_by_area_divides_at_32_and_96_squared():
    areas = np.array([1, 1023, 1024, 9215, 9216, 10**6])
    best = np.array([0.0, 0.6, 0.5, 0.9, 0.75, 0.2], np.float32)
    measured = recall_by_area(best, areas)
    assert {name: row.objects for name, row in measured.items()} == {
        "all": 6,
        "small": 2,
        "medium": 2,
        "large": 2,
    }
    assert [measured[name].at_50 for name in ("small", "medium", "large")] == [0.5, 1.0, 0.5]
    assert [measured[name].at_75 for name in ("small", "medium", "large")] == [0.0, 0.5, 0.5]


def test_recall_without_proposals_or_objects():
    objects = encode_boxes([(0, 0, 4, 1)], 1, 10)
    assert best_overlaps(objects, [], 1, 10).tolist() == [0]
    assert best_overlaps([], objects, 1, 10).tolist() == []
    assert np.isnan(recall(np.zeros(0)).mean_best_iou)


# ------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"backend": "maskformer9"}, "proposals.backend"),
        ({"min_area": -0.1}, "proposals.min_area"),
        ({"max_area": 1.5}, "proposals.max_area"),
        ({"min_area": 0.5, "max_area": 0.4}, "proposals.min_area"),
        ({"min_area": float("nan")}, "proposals.min_area"),
        ({"max_iou": 0}, "proposals.max_iou"),
        ({"max_proposals": 0}, "proposals.max_proposals"),
        ({"segments": SegmentsConfig(working_side=3)}, "proposals.segments.working_side"),
    ],
)
def test_values_that_mean_nothing_are_errors_that_name_the_key(values, key):
    with pytest.raises(UserError, match=rf"^{key}: "):
        load_proposer(ProposalsConfig(**values))
