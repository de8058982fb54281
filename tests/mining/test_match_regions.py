"""The matching step of mining: images that cannot be decoded or have nothing to encode, read ahead or not."""

import dataclasses
import io

import numpy as np
import PIL.Image
import pytest

from pipeline.clip import RegionEncoder
from pipeline.dataset.vocabulary import Vocabulary, vocabulary_table
from pipeline.images import ImageProblem, ImagesConfig, read_upright
from pipeline.masks.masks import Masks
from pipeline.mining.config import MatchingConfig
from pipeline.mining.steps.match_regions import MatchRegions
from pipeline.mining.work import Image, Shard
from pipeline.proposals import Proposals
from pipeline.regions import RegionsConfig

MASKS = [3, 0, 7, 1, 12]
BOTH = pytest.mark.parametrize("ahead", [True, False])


@pytest.fixture
def step(tiny) -> MatchRegions:
    nouns_ND = np.eye(2, 32, dtype=np.float32)
    vocabulary = Vocabulary(vocabulary_table(["cat", "dog"], [2, 1], nouns_ND))
    return MatchRegions([RegionEncoder(tiny, RegionsConfig(), 4)], MatchingConfig(candidates=2), vocabulary)


def shard() -> Shard:
    rng, images = np.random.default_rng(0), []
    for index, count in enumerate(MASKS):
        pixels = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        PIL.Image.fromarray(pixels).save(buffer, "JPEG")
        masks = np.zeros((count, 30, 40), bool)
        masks[:, 5:20, 5:20] = rng.random((count, 15, 15)) > 0.5
        image = Image(index, {"image_id": str(index), "image_uri": ""}, nouns=[{"noun": "cat"}, {"noun": "dog"}])
        image.jpeg = read_upright(buffer.getvalue(), ImagesConfig())
        image.proposals = Proposals(Masks.encode(masks), np.ones(count, np.float32))
        images.append(image)
    return Shard(0, images)


def matched(done: Shard) -> dict[str, list[list[tuple[int, float]]]]:
    return {
        image.row["image_id"]: [[(found.region, found.score) for found in best] for best in image.matches]
        for image in done.remaining()
    }


@BOTH
def test_every_image_gets_its_own_matches(step, ahead):
    announced = []
    done = step(shard(), announced.append, ahead=ahead)
    assert announced == [0, 1, 2, 3, 4]
    assert [len(image.valid) for image in done.images] == MASKS
    for image, count in zip(done.images, MASKS, strict=True):
        assert [len(best) for best in image.matches] == [min(2, count)] * 2
    alone = {}
    for index in range(len(MASKS)):
        one = shard()
        one.images = [one.images[index]]
        alone |= matched(step(one, lambda _: None, ahead=ahead))
    for image_id, nouns in matched(done).items():
        for best, expected in zip(nouns, alone[image_id], strict=True):
            assert [region for region, _ in best] == [region for region, _ in expected]
            np.testing.assert_allclose([score for _, score in best], [score for _, score in expected], atol=1e-5)


@BOTH
@pytest.mark.parametrize("broken", [0, 2, 4])
def test_an_image_that_cannot_be_decoded_costs_itself(step, broken, ahead):
    images = shard()
    images.images[broken].jpeg = dataclasses.replace(images.images[broken].jpeg, data=b"\xff\xd8\xff nothing")
    done = step(images, lambda _: None, ahead=ahead)
    assert [(row["image_id"], row["stage"], row["reason"]) for row in done.rejects] == [
        (str(broken), "matching", "damaged")
    ]
    assert sorted(matched(done)) == [str(index) for index in range(5) if index != broken]


@BOTH
def test_an_image_that_kills_workers_costs_itself(step, ahead):
    def announce(image: int) -> None:
        if image == 2:
            raise ImageProblem("kills_worker")

    done = step(shard(), announce, ahead=ahead)
    assert [row["reason"] for row in done.rejects] == ["kills_worker"]
    assert sorted(matched(done)) == ["0", "1", "3", "4"]


@BOTH
@pytest.mark.parametrize("error", [OSError("disk"), MemoryError()], ids=repr)
def test_what_is_not_about_an_image_costs_the_shard(step, error, ahead):
    def announce(image: int) -> None:
        if image == 3:
            raise error

    with pytest.raises(type(error)):
        step(shard(), announce, ahead=ahead)


@BOTH
def test_a_shard_without_images_is_done(step, ahead):
    assert step(Shard(0, []), lambda _: None, ahead=ahead).rejects == []
