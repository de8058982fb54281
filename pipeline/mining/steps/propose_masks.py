"""Images → mask proposals."""

from collections.abc import Callable

from pipeline.images import ImageProblem, decode_jpeg
from pipeline.mining.work import Shard, costing_only
from pipeline.proposals import Proposer


class ProposeMasks:
    """Images → mask proposals."""

    def __init__(self, proposer: Proposer):
        self._proposer = proposer

    def __call__(self, shard: Shard, touch: Callable[[int], None]) -> Shard:
        for image in shard.remaining():
            with costing_only(shard, image, "proposals"):
                touch(image.index)
                pixels = decode_jpeg(image.jpeg.data)
                [image.proposals] = self._proposer.propose([pixels], [image.row["image_id"]])
                if not image.proposals.masks:
                    raise ImageProblem("no_proposals")
        return shard
