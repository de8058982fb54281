"""The micro world as files, read by other people's readers and by the pipeline's own."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pycocotools.coco import COCO

from pipeline.captions import CaptionsConfig, open_captions, read_image
from pipeline.evaluation.datasets import IGNORE, DatasetConfig, open_dataset
from pipeline.microworld.categories import NAMES, THINGS
from pipeline.microworld.scenes import Scene, category_indices, draw_scene
from pipeline.microworld.world import write_world
from pipeline.proposals.ground_truth import all_annotated
from schemas import LISTING
from tests.microworld.test_captions import named

IMAGES, SEED, UNNAMED = 60, 9, frozenset({"tile", "sky", "moon", "fish", "barn"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("micro") / "world"
    write_world(folder, IMAGES, SEED, UNNAMED)
    return folder


@pytest.fixture(scope="module")
def drawn() -> dict[int, Scene]:
    """The scenes by image id: each comes from the seed and its id alone."""
    return {image: draw_scene(np.random.default_rng((SEED, image))) for image in range(1, IMAGES + 1)}


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def document(folder: Path, name: str) -> dict:
    return json.loads((folder / f"{name}.json").read_text())


def test_the_same_arguments_give_the_same_bytes(folder, tmp_path):
    write_world(tmp_path, IMAGES, SEED, UNNAMED)
    assert content(tmp_path) == content(folder)
    assert len(content(folder)) == 2 * IMAGES + 3


def test_fewer_images_are_the_first_of_more(folder, tmp_path):
    write_world(tmp_path / "few", 7, SEED, UNNAMED)
    write_world(tmp_path / "other", 7, SEED + 1, UNNAMED)
    few, other, all_of_it = content(tmp_path / "few"), content(tmp_path / "other"), content(folder)
    pictures = [name for name in few if not name.endswith(".json")]
    assert len(pictures) == 14
    assert all(few[name] == all_of_it[name] != other[name] for name in pictures)
    for name in ("captions", "instances", "panoptic"):
        first = document(tmp_path / "few", name)["annotations"]
        assert first == document(folder, name)["annotations"][: len(first)]
        assert {annotation["image_id"] for annotation in first} == set(range(1, 8))


def test_images_are_the_scenes(folder, drawn):
    for image, scene in drawn.items():
        stored = np.asarray(Image.open(folder / "images" / f"{image:012d}.jpg")).astype(float)
        assert stored.shape == scene.pixels.shape
        assert abs(stored - scene.pixels).mean() < 8  # JPEG


def test_panoptic_annotations_are_the_scenes(folder, drawn):
    panoptic = document(folder, "panoptic")
    names = {category["id"]: category["name"] for category in panoptic["categories"]}
    assert [names[number] for number in range(1, 43)] == list(NAMES)
    assert {category["name"] for category in panoptic["categories"] if category["isthing"]} == set(THINGS)
    assert len(panoptic["annotations"]) == IMAGES
    for annotation in panoptic["annotations"]:
        scene = drawn[annotation["image_id"]]
        red, green, blue = np.asarray(Image.open(folder / "panoptic" / annotation["file_name"])).transpose(2, 0, 1)
        ids = red + 256 * green.astype(int) + 256**2 * blue.astype(int)
        assert sorted({*ids.flat} - {0}) == sorted(segment["id"] for segment in annotation["segments_info"])
        assert ((ids == 0) == (scene.segments < 0)).all()
        for segment, name in zip(annotation["segments_info"], scene.categories, strict=True):
            assert names[segment["category_id"]] == name
            assert ((ids == segment["id"]) == (scene.segments == scene.segments[ids == segment["id"]][0])).all()
            assert segment["area"] == (ids == segment["id"]).sum()
            assert segment["iscrowd"] == 0


def test_instances_are_the_things_of_the_scenes(folder, drawn):
    coco = COCO(folder / "instances.json")
    assert {category["name"] for category in coco.cats.values()} == set(THINGS)
    for image, scene in drawn.items():
        things = [region for region, name in enumerate(scene.categories) if name in THINGS]
        annotations = coco.loadAnns(coco.getAnnIds(image))
        assert len(annotations) == len(things)
        for annotation, region in zip(annotations, things, strict=True):
            inside = scene.segments == region
            assert (coco.annToMask(annotation) == inside).all()
            assert coco.cats[annotation["category_id"]]["name"] == scene.categories[region]
            assert annotation["area"] == inside.sum()
            rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
            assert annotation["bbox"] == [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]


def test_captions_say_what_can_be_seen_but_never_an_unnamed_noun(folder, drawn):
    captions = defaultdict(list)
    for annotation in document(folder, "captions")["annotations"]:
        captions[annotation["image_id"]].append(annotation["caption"])
    assert captions.keys() == drawn.keys()
    for image, written in captions.items():
        assert len(written) == 2
        nouns = {noun for caption in written for noun in named(caption)}
        assert nouns <= set(drawn[image].categories) - UNNAMED
    assert any(UNNAMED & set(scene.categories) for scene in drawn.values())


def test_mining_lists_it(folder):
    config = CaptionsConfig("coco", str(folder / "captions.json"), images=str(folder / "images"))
    rows = pa.Table.from_batches(open_captions(config).batches(), LISTING).to_pylist()
    assert [row["image_id"] for row in rows] == [str(image) for image in range(1, IMAGES + 1)]
    written = [annotation["caption"] for annotation in document(folder, "captions")["annotations"]]
    assert [caption for row in rows for caption in row["captions"]] == written
    assert {row["problem"] for row in rows} == {None}
    data = read_image(rows[4]["image_uri"], rows[4]["byte_offset"], rows[4]["byte_length"])
    assert data == (folder / "images" / "000000000005.jpg").read_bytes()


def test_the_backend_ground_truth_reads_both_files(folder, drawn):
    pixels = drawn[1].pixels
    for name, kept in (("instances", THINGS), ("panoptic", NAMES)):
        truth = all_annotated(str(folder / f"{name}.json"))
        for image, scene in drawn.items():
            expected = [category for category in scene.categories if category in kept]
            assert sorted(truth.categories(str(image))) == sorted(expected)
        [proposals] = truth.propose([pixels], ["1"])
        assert len(proposals.masks) == len(truth.categories("1"))


def test_evaluation_reads_it(folder, drawn):
    dataset = open_dataset(DatasetConfig(kind="micro_world", root=str(folder)))
    assert dataset.classes == [(name,) for name in NAMES]
    assert sorted(map(int, dataset.image_ids)) == list(drawn)
    for image, scene in drawn.items():
        sample = dataset.read(str(image))
        shown = category_indices(scene).astype(int)
        assert (sample.labels == np.where(shown < 0, IGNORE, shown)).all()
        assert sample.image.shape == (96, 96, 3)
