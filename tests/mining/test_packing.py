"""A shard between two stages."""

import io

import numpy as np
from PIL import Image as Picture

from pipeline.images import ImagesConfig, decode_jpeg, read_upright
from pipeline.masks.masks import Masks
from pipeline.mining.packing import pack, unpack
from pipeline.mining.work import Image, Shard
from pipeline.proposals import Proposals


def jpeg(number: int) -> bytes:
    """A file of noise."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
    Picture.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


def made_shard() -> Shard:
    """Five images; the second is rejected."""
    shard = Shard(7, seconds={"images": 1.5}, waits={"images": {"storage": 0.5}}, ready=12.25)
    for index in range(5):
        image = Image(index, {"image_id": str(index), "image_uri": f"{index}.jpg"})
        image.jpeg = read_upright(jpeg(index), ImagesConfig())
        mask = np.zeros((1, 20 + index, 30), bool)
        mask[0, index : index + 3, 2:9] = True
        image.proposals = Proposals(Masks.encode(mask), np.ones(1, np.float32))
        shard.images.append(image)
    shard.reject(shard.images[1], "images", "damaged")
    return shard


def test_it_arrives_as_it_was_sent():
    shard = made_shard()
    block = pack(shard)
    assert (block.num_rows, block["shard"].to_pylist()) == (1, [7])
    assert bytes(shard.images[0].jpeg.data) == jpeg(0)  # packing leaves it as it is
    found = unpack(block)
    assert (found.seconds, found.waits, found.ready) == ({"images": 1.5}, {"images": {"storage": 0.5}}, 12.25)
    assert found.rejects == shard.rejects
    assert [image.index for image in found.remaining()] == [0, 2, 3, 4]
    for image in found.remaining():
        assert bytes(image.jpeg.data) == jpeg(image.index)
        assert (decode_jpeg(image.jpeg.data) == decode_jpeg(jpeg(image.index))).all()
        assert image.proposals.masks == shard.images[image.index].proposals.masks


def test_jpegs_and_proposals_travel_on_without_a_copy():
    block = pack(made_shard())
    shard = unpack(block)
    shard.reject(shard.images[3], "proposals", "no_proposals")
    onward = pack(shard, block)
    for column in ("jpegs", "proposals"):
        [before], [after] = (table[column].chunks for table in (block, onward))
        assert [part.address for part in before.buffers() if part] == [part.address for part in after.buffers() if part]
    for table in (block, onward):
        assert jpeg(0) not in table["work"][0].as_py()
        assert shard.images[0].proposals.masks[0] not in table["work"][0].as_py()
    assert unpack(onward).images[3].proposals is None  # rejected meanwhile
    assert {image.index: bytes(image.jpeg.data) for image in unpack(onward).remaining()} == {
        index: jpeg(index) for index in (0, 2, 4)
    }


def test_proposals_come_when_they_are_made():
    shard = made_shard()
    proposals = [image.proposals for image in shard.images]
    for image in shard.images:
        image.proposals = None
    block = pack(shard)
    found = unpack(block)
    assert all(image.proposals is None for image in found.images)
    for image in found.remaining():
        image.proposals = proposals[image.index]
    arrived = unpack(pack(found, block))
    assert [image.proposals and image.proposals.masks for image in arrived.images] == [
        made and made.masks for made in proposals
    ]


def test_a_shard_that_failed_has_no_images():
    assert unpack(pack(Shard(3, error="images: gone"))).error == "images: gone"
