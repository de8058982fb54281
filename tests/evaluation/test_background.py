"""Data sets whose background is a class: what it is asked by, what belongs to it, and what is refused."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import scipy.io

from pipeline.clip import ClipConfig
from pipeline.errors import UserError
from pipeline.evaluation.background import uncovered_as_background, unlikely_as_background
from pipeline.evaluation.chunk import evaluate_chunk
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets import open_dataset, shown_names
from pipeline.evaluation.datasets.background import Background
from pipeline.masks.masks import Masks
from pipeline.proposals import Proposals, ProposalsConfig
from pipeline.segmentation import UNLABELLED, Prediction, SegmentationConfig
from pipeline.segmentation.loading import load_segmenter
from tests.evaluation import background_distributions, distributions
from tests.evaluation.distributions import SIZE, write_png


class LeftHalf:
    """One mask, the left half of the image."""

    def __init__(self, config: ProposalsConfig):
        self.identity = {"name": "left half"}
        self.batch_size = 1

    def propose(self, images, image_ids):
        inside = np.zeros((1, *SIZE), bool)
        inside[:, :, : SIZE[1] // 2] = True
        return [Proposals(Masks.encode(inside), np.ones(1, np.float32)) for _ in images]


@pytest.mark.parametrize("threshold", [0.0, 0.99])
def test_what_nothing_covers_and_what_is_unlikely_are_background(threshold, tmp_path, tiny_folder):
    """A CLIP that knows nothing is sure of nothing: with a high threshold all is background."""
    miniature = background_distributions.voc_21(tmp_path / "data")
    miniature.config.background_threshold = threshold
    dataset = open_dataset(miniature.config)
    config = EvaluateConfig(
        dataset=miniature.config,
        output="nowhere",
        clip=ClipConfig(architecture=f"local-dir:{tiny_folder}", weights=None),
        proposals=ProposalsConfig("tests.evaluation.test_background:LeftHalf"),
        segmentation=SegmentationConfig(templates="none", temperature=1.0),
        gpus=0,
    ).resolved()
    [image_id, *_] = miniature.labels
    tables = evaluate_chunk(dataset, load_segmenter(config, dataset.classes, gpu=False), [image_id])
    counts = np.zeros((21, 22), int)
    for row in tables["confusion"].to_pylist():
        if row["branch"] == "clip":
            counts[row["label"], 21 if row["predicted"] is None else row["predicted"]] = row["pixels"]
    labels = miniature.labels[image_id]
    counted, right = (labels >= 0).sum(), (labels[:, SIZE[1] // 2 :] >= 0).sum()
    predicted = counts.sum(axis=0)
    assert predicted[21] == 0  # nothing is unlabelled
    assert predicted.sum() == counted
    assert predicted[0] == (counted if threshold else right)
    assert (predicted[1:] > 0).sum() == (0 if threshold else 1)
    # Regions of the background are nothing to name.
    assert {row["label"] for row in tables["regions"].to_pylist()} == set(np.unique(labels[labels > 0]).tolist())


def test_regions_below_the_threshold_by_hand():
    """Softmax of (ln 2, 0, 0) is (½, ¼, ¼), of (ln 8, 0, 0) it is (8, 1, 1) / 10."""
    logits = np.log(np.array([[1, 2, 1], [1, 1, 8], [1, 1, 1]], np.float32))
    prediction = Prediction(3, Masks([], 2, 2), None, logits, np.ones(3, bool), None)
    for threshold, expected in ((0.0, [1, 2, 0]), (0.4, [1, 2, 0]), (0.55, [0, 2, 0]), (0.85, [0, 0, 0])):
        found = unlikely_as_background(prediction, Background(0, threshold=threshold))
        assert found.region_logits.argmax(axis=1).tolist() == expected
    # The other classes keep their order, for the ranks.
    assert unlikely_as_background(prediction, Background(0, threshold=0.9)).region_logits[1].argsort().tolist()[1] == 2
    assert unlikely_as_background(prediction, None) is prediction
    none = replace(prediction, region_logits=np.zeros((0, 3), np.float32), valid=np.zeros(0, bool))
    assert unlikely_as_background(none, Background(0, threshold=0.5)).region_logits.shape == (0, 3)


def test_label_maps_without_gaps():
    labels = np.array([[UNLABELLED, 2], [0, UNLABELLED]], np.uint16)
    assert uncovered_as_background(labels, Background(1)).tolist() == [[1, 2], [0, 1]]
    assert uncovered_as_background(labels, None) is labels


def test_names_of_the_background(tmp_path):
    config = background_distributions.voc_21(tmp_path / "voc").config
    dataset = open_dataset(config)
    assert len(dataset.classes[0]) == 26
    assert dataset.classes[0][:3] == ("sky", "wall", "tree")
    assert shown_names(dataset)[:2] == ["background", "aeroplane"]
    config.background = ["backdrop", " scenery "]
    assert open_dataset(config).classes[0] == ("backdrop", "scenery")
    assert open_dataset(config).identity != dataset.identity
    config.background = ["scenery", "sofa"]
    with pytest.raises(UserError, match=r"dataset\.background: sofa is also a name of a class of voc_21"):
        open_dataset(config)
    config.background = []
    with pytest.raises(UserError, match=r"dataset\.background: it needs at least one name"):
        open_dataset(config)
    # SCLIP's own list has "bed", which is a class of COCO.
    root = tmp_path / "coco"
    config = background_distributions.coco_object(root).config
    labels = (root / "labels.txt").read_text().replace("category 65", "bed")
    (root / "labels.txt").write_text(labels)
    assert "bed" not in open_dataset(config).classes[0]
    config = distributions.ade20k_150(tmp_path / "ade").config
    config.background_threshold = 0.1
    with pytest.raises(UserError, match=r"dataset\.background_threshold: ade20k_150 has no class for the background"):
        open_dataset(config)


def test_coco_objects_are_those_of_group_vit(tmp_path):
    """Pairs of its table clsID_to_trID, as its script changes them: plus one, and 0 above 90."""
    pairs = {
        0: 1, 10: 11, 12: 12, 24: 24, 26: 25, 27: 26, 30: 27, 64: 60, 66: 61, 69: 62, 71: 63, 81: 73, 83: 74, 89: 80,
        91: 0, 181: 0, 255: 0,
    }  # fmt: skip
    miniature = background_distributions.coco_object(tmp_path / "coco")
    values = np.resize(np.array(list(pairs), np.uint8), SIZE)
    write_png(tmp_path / "coco/stuffthingmaps/val2017/000000000139.png", values)
    found = open_dataset(miniature.config).read("000000000139").labels
    assert (found == np.vectorize(pairs.get)(values)).all()


def test_unlabelled_pixels_of_pascal_context_are_background(tmp_path):
    miniature = background_distributions.pascal_context_60(tmp_path)
    path = tmp_path / "trainval/2008_000002.mat"
    scipy.io.savemat(path, {"LabelMap": np.zeros(SIZE, np.uint16)})
    dataset = open_dataset(miniature.config)
    assert (dataset.read("2008_000002").labels == 0).all()
    scipy.io.savemat(path, {"LabelMap": np.full(SIZE, 460, np.uint16)})
    with pytest.raises(UserError, match=r"2008_000002\.mat holds label values .*: 460"):
        dataset.read("2008_000002")


def test_imagenet_s(tmp_path):
    """The first and the last of its 919 categories; the projectile was merged into the missile."""
    miniature = background_distributions.imagenet_s_919(tmp_path)
    dataset = open_dataset(miniature.config)
    assert (dataset.classes[1], dataset.classes[919]) == (("tench",), ("toilet paper",))
    assert ("missile",) in dataset.classes
    assert ("projectile",) not in dataset.classes
    image_id = dataset.image_ids[0]
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[..., :2] = 152, 3  # 920
    write_png(tmp_path / f"validation-segmentation/{image_id}.png", pixels)
    with pytest.raises(UserError, match=r"val_00000293\.png holds label values outside the list of classes: 920"):
        dataset.read(image_id)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("validation/n01440764/ILSVRC2012_val_00000293.JPEG", r"00000293\.JPEG is missing.*datapreparation_val"),
        ("validation-segmentation/n01440764/ILSVRC2012_val_00000293.png", r"00000293\.png is missing.*anno\.sh"),
        ("validation-segmentation", r"validation-segmentation/n…/\*\.png is missing"),
    ],
)
def test_a_part_of_imagenet_s_is_missing(part, says, tmp_path):
    config = background_distributions.imagenet_s_919(tmp_path).config
    path = tmp_path / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match=says):
        open_dataset(config)


def test_folders_that_are_no_class_of_imagenet_s(tmp_path):
    config = background_distributions.imagenet_s_919(tmp_path).config
    for folder in ("validation", "validation-segmentation"):
        (tmp_path / folder / "n01440764").rename(tmp_path / folder / "n04008634")  # projectile
    with pytest.raises(UserError, match=r"folders that are none of the 919 classes: n04008634"):
        open_dataset(config)
