"""The proposal step of mining: batches of images of one size, one that fails among them, and learned backends on
real images."""

import io

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import Mask2FormerImageProcessor

from pipeline.captions import CaptionsConfig
from pipeline.images import ImageProblem, ImagesConfig, read_upright
from pipeline.masks.masks import Masks
from pipeline.mining.config import MineConfig
from pipeline.mining.proposal_trial import measure_proposals
from pipeline.mining.steps.propose_masks import ProposeMasks
from pipeline.mining.work import Image, Shard
from pipeline.proposals import MaskFormerConfig, Proposals, ProposalsConfig
from tests.proposals import test_mask2former as mask2former
from tests.proposals.maskformer.checkpoints import random_maskformer, swin_config, to_detectron2, to_ovseg
from tests.proposals.tiny_sam2 import everything, save_tiny_model


@pytest.fixture(scope="module")
def learned(tmp_path_factory) -> dict[str, ProposalsConfig]:
    """Small models with random weights."""
    folder = tmp_path_factory.mktemp("models")
    torch.save({"model": to_ovseg(to_detectron2(random_maskformer(swin_config())))}, folder / "ovseg.pth")
    mask2former.tiny_model().save_pretrained(folder / "mask2former")
    Mask2FormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 160}).save_pretrained(folder / "mask2former")
    return {
        "maskformer": ProposalsConfig(
            backend="maskformer",
            min_area=0,
            max_area=1,
            batch_size=3,
            maskformer=MaskFormerConfig(weights=str(folder / "ovseg.pth"), short_side=64, max_side=160),
        ),
        "mask2former": mask2former.everything(folder / "mask2former", batch_size=3),
        "sam2": everything(save_tiny_model(folder / "sam2"), batch_size=3),
    }


@pytest.mark.parametrize("backend", ["maskformer", "mask2former", "sam2"])
def test_real_images(backend, learned, coco_sample):
    annotations = coco_sample / "annotations"
    captions = CaptionsConfig("coco", str(annotations / "captions.json"), images=str(coco_sample / "images"))
    report = measure_proposals(
        MineConfig(captions, "unused", limit=8, proposals=learned[backend]), str(annotations / "instances.json")
    )
    assert report.images == 8
    assert report.rejected.keys() <= {"proposals: no_proposals"}
    assert report.recall["all"].objects > 10
    assert sum(report.counts) > 0


class Picky:
    """Proposes the whole image; fails for some images, also when others are with them."""

    def __init__(self, batch_size: int, failing: dict[str, Exception]):
        self.identity, self.batch_size = {"name": "picky"}, batch_size
        self._failing = failing
        self.batches: list[list[str]] = []

    def propose(self, images, image_ids):
        self.batches.append(list(image_ids))
        for image_id in image_ids:
            if image_id in self._failing:
                raise self._failing[image_id]
        assert len({image.shape for image in images}) == 1
        frames = [np.ones((1, *image.shape[:2]), bool) for image in images]
        return [Proposals(Masks.encode(frame), np.ones(1, np.float32)) for frame in frames]


def shard(*sizes: tuple[int, int]) -> Shard:
    images = []
    for index, (height, width) in enumerate(sizes):
        buffer = io.BytesIO()
        PIL.Image.new("RGB", (width, height)).save(buffer, "JPEG")
        upright = read_upright(buffer.getvalue(), ImagesConfig())
        images.append(Image(index, {"image_id": str(index), "image_uri": ""}, jpeg=upright))
    return Shard(0, images)


SIZES = [(20, 30), (30, 20), (20, 30), (20, 30), (30, 20), (20, 30)]


def test_images_of_one_size_go_together():
    proposer, announced = Picky(3, {}), []
    done = ProposeMasks(proposer)(shard(*SIZES), lambda *images: announced.append(images))
    assert sorted(map(sorted, proposer.batches)) == [["0", "2", "3"], ["1", "4"], ["5"]]
    assert sorted(announced) == [(0, 2, 3), (1, 4), (5,)]
    for image, size in zip(done.images, SIZES, strict=True):
        assert image.proposals.masks.size == size


def test_an_image_that_fails_costs_itself():
    failing = {"2": ImageProblem("not_a_number"), "4": RuntimeError("broken")}
    done = ProposeMasks(Picky(3, failing))(shard(*SIZES), lambda *_: None)
    assert {row["image_id"]: row["reason"] for row in done.rejects} == {"2": "not_a_number", "4": "failed"}
    assert {image.row["image_id"] for image in done.remaining()} == {"0", "1", "3", "5"}
    assert all(image.proposals.masks for image in done.remaining())


@pytest.mark.parametrize("error", [OSError("disk"), MemoryError(), torch.OutOfMemoryError("GPU")])
def test_what_is_not_about_an_image_costs_the_shard(error):
    with pytest.raises(type(error)):
        ProposeMasks(Picky(3, {"2": error}))(shard(*SIZES), lambda *_: None)


def test_images_in_doubt_are_done_one_by_one():
    proposer, alone = Picky(3, {}), []

    def announce(*images: int) -> None:
        if len(images) > 1 and 3 in images:
            raise ImageProblem("in_doubt")
        if len(images) == 1:
            alone.extend(images)

    done = ProposeMasks(proposer)(shard(*SIZES), announce)
    assert sorted(alone) == [0, 2, 3, 5]
    assert not done.rejects
