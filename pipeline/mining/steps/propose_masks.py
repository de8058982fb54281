"""Images → mask proposals."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from pipeline.images import ImageProblem, UprightJpeg, costs_one_image, decode_jpeg
from pipeline.mining.work import Image, Shard, reject_on_error
from pipeline.proposals import Proposer
from pipeline.proposals.ground_truth import GroundTruth


class ProposeMasks:
    """Images → mask proposals."""

    def __init__(self, proposer: Proposer):
        self._proposer = proposer

    def __call__(self, shard: Shard, announce: Callable[..., None]) -> Shard:
        """Set `proposals` of the shard's remaining images, those of equal size in batches; reject those without any.

        Args:
            announce: is told the indices of the images of each batch before the work on them begins.
        """
        for batch in _batches(shard.remaining(), self._proposer.batch_size):
            done = len(batch) > 1 and self._together(batch, announce)
            for image in batch:
                with reject_on_error(shard, image, "proposals"):
                    if not done:
                        self._propose([image], announce)
                    assert image.proposals is not None  # `_propose` gave them
                    if not image.proposals.masks:
                        raise self._absence(image.row["image_id"])
        return shard

    def _absence(self, image_id: str) -> ImageProblem:
        """Why an image has no proposals. Annotations know, models do not."""
        absence = getattr(self._proposer, "absence", None)
        return absence(image_id) if absence else ImageProblem("no_proposals")

    def _together(self, batch: list[Image], announce: Callable[..., None]) -> bool:
        """Whether it worked; if it did not, one of them is the reason, and they have to be done one by one."""
        try:
            self._propose(batch, announce)
        except Exception as error:
            if not costs_one_image(error):
                raise
            return False
        return True

    def _propose(self, batch: list[Image], announce: Callable[..., None]) -> None:
        announce(*(image.index for image in batch))
        files = [_file(image) for image in batch]
        pixels = [decode_jpeg(file.data) for file in files]
        ids = [image.row["image_id"] for image in batch]
        if isinstance(self._proposer, GroundTruth):
            found = self._proposer.propose(pixels, ids, files)
        else:
            found = self._proposer.propose(pixels, ids)
        for image, proposals in zip(batch, found, strict=True):
            image.proposals = proposals


def _file(image: Image) -> UprightJpeg:
    assert image.jpeg is not None  # only a rejected image is without
    return image.jpeg


def _batches(images: list[Image], size: int) -> Iterator[list[Image]]:
    """Images of equal height and width, at most `size` together. The same shard always makes the same batches."""
    by_size: dict[tuple[int, int], list[Image]] = defaultdict(list)
    for image in images:
        file = _file(image)
        by_size[file.height, file.width].append(image)
    for alike in by_size.values():
        for start in range(0, len(alike), size):
            yield alike[start : start + size]
