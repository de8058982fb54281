"""Each distribution, in miniature: labels and class names must come out as they were put in."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import storage
from pipeline.evaluation.datasets import IGNORE, DatasetConfig, open_dataset
from pipeline.evaluation.datasets.ade20k_847_objects import OBJECTS
from tests.evaluation import distributions
from tests.evaluation.background_distributions import WITH_BACKGROUND
from tests.evaluation.distributions import MINIATURES, SIZE, expected, write_image, write_png


@pytest.mark.parametrize("write", [*MINIATURES, *WITH_BACKGROUND])
def test_labels_images_and_names(write, tmp_path):
    miniature = write(tmp_path / "data")
    opened = open_dataset(miniature.config)
    dataset = pickle.loads(pickle.dumps(opened))  # as a worker gets it
    assert dataset.name == miniature.name
    assert dataset.image_ids == sorted(miniature.labels)
    assert len(dataset.classes) == miniature.classes
    assert dataset.classes[: len(miniature.first_classes)] == miniature.first_classes
    assert dataset.identity == opened.identity
    for image_id, labels in miniature.labels.items():
        sample = dataset.read(image_id)
        assert sample.labels.dtype == np.uint16
        assert np.array_equal(sample.labels, expected(labels))
        assert np.array_equal(sample.image, np.asarray(Image.open(miniature.images[image_id])))


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
@pytest.mark.parametrize("write", [distributions.voc_20, distributions.ade20k_847, distributions.micro_world])
def test_the_same_from_s3(s3, s3_uri, write, tmp_path):
    miniature = write(tmp_path / "data")
    local = Path(miniature.config.root)
    for path in local.rglob("*"):
        if path.is_file():
            storage.upload(path, f"{s3_uri}/data/{path.relative_to(local)}")
    dataset = open_dataset(DatasetConfig(miniature.config.kind, f"{s3_uri}/data"))
    assert dataset.identity == open_dataset(miniature.config).identity
    for image_id, labels in miniature.labels.items():
        assert np.array_equal(dataset.read(image_id).labels, expected(labels))


def test_coco_stuff_as_its_own_instructions_unpack_it(tmp_path):
    miniature = distributions.coco_stuff_171(tmp_path / "data")
    root = Path(miniature.config.root)
    (root / "images").mkdir()
    (root / "val2017").rename(root / "images/val2017")
    (root / "stuffthingmaps").rename(root / "annotations")
    dataset = open_dataset(miniature.config)
    for image_id, labels in miniature.labels.items():
        assert np.array_equal(dataset.read(image_id).labels, expected(labels))


def test_ade20k_847_objects():
    """The official starter notebook finds cars at 400, counted from 0; MaskFormer lists them as its class 14."""
    assert len(OBJECTS) == len(set(OBJECTS)) == 847
    assert OBJECTS.index(401) == 14


def test_training_split(tmp_path):
    root = tmp_path / "data"
    miniature = distributions.ade20k_847(root)
    image = write_image(Path(miniature.config.root) / "images/ADE/training/urban/street/ADE_train_00016869.jpg")
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = 10 * (401 // 256), 401 % 256
    write_png(image.with_name("ADE_train_00016869_seg.png"), pixels)
    dataset = open_dataset(DatasetConfig("ade20k_847", miniature.config.root, split="training"))
    assert dataset.image_ids == ["ADE_train_00016869"]
    assert set(dataset.read("ADE_train_00016869").labels.ravel()) == {14}


def test_folder_with_other_label_values_and_places(tmp_path):
    for place in ("photos", "truth", "lists"):
        (tmp_path / place).mkdir()
    (tmp_path / "lists/names.txt").write_text("a\nb\n")
    Image.fromarray(np.full(SIZE, 200, np.uint8)).save(tmp_path / "photos/x.png")
    write_png(tmp_path / "truth/x.png", np.array([[10, 11, 0] * 4 + [10, 10]] * 9, np.uint16))
    config = DatasetConfig("folder", str(tmp_path), images="photos", labels=str(tmp_path / "truth"))
    config.classes, config.ignore, config.first_label = "lists/names.txt", 0, 10
    sample = open_dataset(config).read("x")
    assert sample.labels[0].tolist() == [0, 1, IGNORE] * 4 + [0, 0]
    assert sample.image.shape == (*SIZE, 3)


def test_identity_changes_with_classes_images_and_codes(tmp_path):
    identities = []
    config = distributions.folder(tmp_path / "data").config
    root = Path(config.root)
    identities.append(open_dataset(config).identity)
    (root / "classes.txt").write_text("gate\nwall\nsky\n")
    identities.append(open_dataset(config).identity)
    (root / "labels/c.png").unlink()
    identities.append(open_dataset(config).identity)
    config.ignore = 9
    identities.append(open_dataset(config).identity)
    assert len({tuple(sorted(identity.items())) for identity in identities}) == 4


def test_real_coco_panoptic(coco_sample, tmp_path):
    """132 real images, 28 of them with panoptic labels."""
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017").symlink_to(coco_sample / "images")
    (tmp_path / "annotations/panoptic_val2017").symlink_to(coco_sample / "annotations/panoptic")
    (tmp_path / "annotations/panoptic_val2017.json").symlink_to(coco_sample / "annotations/panoptic.json")
    dataset = open_dataset(DatasetConfig("coco_panoptic", str(tmp_path)))
    assert len(dataset.classes) == 133
    assert len(dataset.image_ids) == 28
    bear, grass = dataset.classes.index(("bear",)), dataset.classes.index(("grass-merged",))
    assert set(np.unique(dataset.read("285").labels)) == {bear, grass, IGNORE}
