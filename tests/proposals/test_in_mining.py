"""The proposal step of mining: batches of images of one size, one that fails among them, and learned backends on
real images."""

import dataclasses
import io
import threading

import numpy as np
import PIL.Image
import pytest
import torch

from pipeline.captions import CaptionsConfig
from pipeline.images import ImageProblem, ImagesConfig, read_upright
from pipeline.masks.masks import Masks
from pipeline.mining.config import MineConfig
from pipeline.mining.proposal_trial import measure_proposals
from pipeline.mining.steps.propose_masks import ProposeMasks
from pipeline.mining.work import Image, Shard
from pipeline.proposals import Proposals, ProposalsConfig


@pytest.mark.parametrize("backend", ["maskformer", "mask2former", "sam2"])
def test_real_images(backend, random_models, coco_sample):
    annotations = coco_sample / "annotations"
    captions = CaptionsConfig("coco", str(annotations / "captions.json"), images=str(coco_sample / "images"))
    proposals = ProposalsConfig(
        backend, random_models[backend], min_area=0, max_area=1, max_iou=1, max_proposals=1000, batch_size=3
    )
    config = MineConfig(captions, "unused", limit=8, proposals=proposals)
    report = measure_proposals(config, str(annotations / "instances.json"))
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


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_image_that_cannot_be_decoded_costs_itself(ahead, batch_size):
    images = shard(*SIZES)
    whole = images.images[2].jpeg
    images.images[2].jpeg = dataclasses.replace(whole, data=whole.data[:100])
    proposer = Picky(batch_size, {})
    done = ProposeMasks(proposer)(images, lambda *_: None, ahead=ahead)
    assert [row["image_id"] for row in done.rejects] == ["2"]
    assert sorted(image_id for batch in proposer.batches for image_id in batch) == ["0", "1", "3", "4", "5"]
    assert all(image.proposals.masks for image in done.remaining())


class Noting(Picky):
    """Notes when it answers; the first time, it waits until some number of batches was announced."""

    def __init__(self, events: list[str], announced: threading.Semaphore, awaited: int):
        super().__init__(3, {})
        self._events, self._announced, self._awaited = events, announced, awaited

    def propose(self, images, image_ids):
        for _ in range(self._awaited):
            assert self._announced.acquire(timeout=60)
        self._awaited = 0
        self._events.append(f"propose {min(image_ids)}")
        return super().propose(images, image_ids)


@pytest.mark.parametrize(("ahead", "awaited"), [(True, 2), (False, 1)])
def test_the_next_batch_is_announced_and_decoded_meanwhile_unless_a_worker_died(ahead, awaited):
    events: list[str] = []
    announced = threading.Semaphore(0)

    def announce(*images: int) -> None:
        events.append(f"announce {min(images)}")
        announced.release()

    ProposeMasks(Noting(events, announced, awaited))(shard(*SIZES), announce, ahead=ahead)
    in_turn = [f"{what} {first}" for first in (0, 5, 1) for what in ("announce", "propose")]
    assert sorted(events) == sorted(in_turn)
    assert (events == in_turn) == (not ahead)
    assert events.index("announce 1") > events.index("propose 0")  # one batch ahead, no more
