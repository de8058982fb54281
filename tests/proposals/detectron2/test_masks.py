"""Masks of the backend against those of detectron2's own predictor."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from pipeline.errors import UserError
from pipeline.masks import rle
from pipeline.proposals import Proposals
from tests.proposals.detectron2.models import (
    EVERYTHING,
    photograph,
    proposer,
    read_config,
    save_random_weights,
    write_config,
)


def predict(config: Path, weights: Path, image: np.ndarray, *options: str) -> dict:
    """What detectron2's own predictor gives for an RGB image."""
    from detectron2.engine import DefaultPredictor

    cfg = read_config(config)
    cfg.merge_from_list(list(options))
    cfg.MODEL.WEIGHTS = str(weights)
    return DefaultPredictor(cfg)(image[:, :, ::-1])


def components(logits_CHW: torch.Tensor) -> list[np.ndarray]:
    classes = logits_CHW.argmax(dim=0).numpy()
    found = []
    for number in np.unique(classes):
        parts, count = ndimage.label(classes == number, structure=np.ones((3, 3)))
        found += [parts == part for part in range(1, count + 1)]
    return found


def expected_masks(output: dict) -> list[np.ndarray]:
    """In no order."""
    if "instances" not in output:
        return components(output["sem_seg"])
    found = [mask.numpy() for mask in output["instances"].pred_masks if mask.any()]
    if "panoptic_seg" in output:
        ids, segments = output["panoptic_seg"]
        found += [(ids == segment["id"]).numpy() for segment in segments if not segment["isthing"]]
    return found


def assert_same_masks(found: Proposals, expected: list[np.ndarray]) -> None:
    assert len(expected) > 2
    assert sorted(found.masks) == sorted(rle.encode(np.stack(expected)))


@pytest.mark.parametrize("channels", ["BGR", "RGB"])
def test_masks_are_those_of_detectron2s_predictor(any_model, channels):
    config, weights = any_model
    found_by = proposer(config, weights, [f"INPUT.FORMAT={channels}"], **EVERYTHING)
    for image in (photograph(), photograph(90, 50, seed=1)):
        output = predict(config, weights, image, "INPUT.FORMAT", channels)
        [found] = found_by.propose([image], ["1"])
        assert_same_masks(found, expected_masks(output))
        assert (np.diff(found.scores) <= 0).all()
        if "panoptic_seg" not in output and "instances" in output:
            covered = output["instances"].pred_masks.flatten(1).any(dim=1)
            np.testing.assert_array_equal(found.scores, output["instances"].scores[covered].numpy())


def test_panoptic_models_give_instances_and_stuff(detectron2, tmp_path):
    config = write_config(tmp_path, "PanopticFPN")
    save_random_weights(config, tmp_path / "model.pth")
    image = photograph()
    output = predict(config, tmp_path / "model.pth", image)
    ids, segments = output["panoptic_seg"]
    stuff = [segment["id"] for segment in segments if not segment["isthing"]]
    assert stuff
    probability = output["sem_seg"].softmax(dim=0).amax(dim=0)
    [found] = proposer(config, tmp_path / "model.pth", **EVERYTHING).propose([image], ["1"])
    scores = dict(zip(found.masks, found.scores, strict=True))
    for segment in stuff:
        [encoded] = rle.encode((ids == segment).numpy()[None])
        assert scores[encoded] == pytest.approx(float(probability[ids == segment].mean()), abs=1e-5)


def test_images_of_one_size_are_batched(any_model):
    images = [photograph(seed=seed) for seed in range(3)]
    images.insert(1, photograph(40, 120, seed=9))
    single = proposer(*any_model, batch_size=1, **EVERYTHING).propose(images, list("abcd"))
    together = proposer(*any_model, batch_size=2, **EVERYTHING).propose(images, list("abcd"))
    for one, other in zip(single, together, strict=True):
        assert abs(len(one.masks) - len(other.masks)) <= 2  # a score may lie on the threshold
        overlaps = one.masks[:5].iou(other.masks)
        assert (overlaps.max(axis=1) > 0.95).all()


def test_half_precision_moves_masks_a_little(any_model):
    [exact] = proposer(*any_model, **EVERYTHING).propose([photograph()], ["1"])
    [half] = proposer(*any_model, precision="fp16", **EVERYTHING).propose([photograph()], ["1"])
    assert abs(len(exact.masks) - len(half.masks)) <= 2
    overlaps = exact.masks[:10].iou(half.masks)
    assert np.median(overlaps.max(axis=1)) > 0.9


def test_lazy_configurations(lazy):
    from detectron2.config import LazyConfig, instantiate
    from detectron2.data.transforms import ResizeShortestEdge

    config, weights = lazy
    model = instantiate(LazyConfig.load(str(config)).model).eval()
    model.load_state_dict(torch.load(weights))
    image = photograph()
    small = ResizeShortestEdge(48, 96).get_transform(image).apply_image(image)
    tensor = torch.from_numpy(small.transpose(2, 0, 1).copy())
    with torch.no_grad():
        [output] = model([{"image": tensor, "height": 60, "width": 80}])
    [found] = proposer(config, weights, **EVERYTHING).propose([image], ["1"])
    assert_same_masks(found, components(output["sem_seg"]))


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 5000), (700, 2)])
def test_images_of_odd_sizes(any_model, size):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    [found] = proposer(*any_model).propose([noise], ["1"])
    assert found.masks.size == size
    assert len(found.masks) == len(found.scores)


def test_images_in_which_nothing_is_found(mask_rcnn):
    for dropping in ({"options": ["MODEL.ROI_HEADS.SCORE_THRESH_TEST=1.0"]}, {"min_area": 0.99, "max_area": 1}):
        [found] = proposer(*mask_rcnn, **dropping).propose([photograph()], ["1"])
        assert (len(found.masks), found.scores.shape) == (0, (0,))


def test_views_into_other_arrays(mask_rcnn):
    image = photograph()
    mirrored = np.ascontiguousarray(image[:, ::-1])
    one, other = proposer(*mask_rcnn, batch_size=1).propose([image, mirrored[:, ::-1]], ["1", "2"])
    assert one.masks == other.masks


def test_models_of_boxes_are_refused(mask_rcnn, tmp_path):
    boxes = {name: weight for name, weight in torch.load(mask_rcnn[1])["model"].items() if "mask_head" not in name}
    torch.save(boxes, tmp_path / "boxes.pth")
    found_by = proposer(mask_rcnn[0], tmp_path / "boxes.pth", ["MODEL.MASK_ON=False"])
    with pytest.raises(UserError, match=r"^proposals\.options\.config: the model gives instances without masks"):
        found_by.propose([photograph()], ["1"])
