"""Images → mask proposals. A backend that is asked by names is asked for the nouns of each image."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np

from pipeline.execution.read_ahead import read_ahead
from pipeline.images import ImageProblem, UprightJpeg, costs_one_image, decode_jpeg
from pipeline.mining.config import MatchedText
from pipeline.mining.work import Image, Shard, reject_on_error
from pipeline.proposals import Proposals, Proposer
from pipeline.proposals.proposer import is_prompted


class ProposeMasks:
    """Images → mask proposals."""

    def __init__(self, proposer: Proposer, text: MatchedText = "noun"):
        """`text`: what a backend that takes names is asked for."""
        self._proposer = proposer
        self._text = text
        self._name = proposer.identity["name"]

    def __call__(self, shard: Shard, announce: Callable[..., None], *, ahead: bool = True) -> Shard:
        """Set `proposals` of the shard's remaining images, those of equal size in batches; reject those without any.

        A noun that was asked for and that no mask answers leaves the image, and is a reject of its own: it makes no
        pair. An image is rejected as `not_found` if that is all of its nouns.

        Args:
            announce: is told the indices of the images of each batch before the work on them begins.
            ahead: the images of a batch are decoded while those before them are worked on, so that those announced last
                need not be the ones that are worked on.
        """
        with closing(read_ahead(self._decoded(shard.remaining(), announce), int(ahead))) as batches:
            for batch, pixels in batches:
                failure = pixels if isinstance(pixels, Exception) else self._together(batch, pixels)
                for image in batch:
                    with reject_on_error(shard, image, "proposals"):
                        if failure is not None:
                            if len(batch) == 1:
                                raise failure
                            self._alone(image, announce)
                        self._drop_unanswered(shard, image)
                        assert image.proposals is not None  # `_propose` gave them
                        if not image.proposals.masks:
                            raise self._absence(image.row["image_id"])
        return shard

    def _drop_unanswered(self, shard: Shard, image: Image) -> None:
        unanswered, image.unanswered = image.unanswered, {}
        if not unanswered:
            return
        for noun in image.nouns:
            if problem := unanswered.get(noun[self._text]):
                place, name = noun["caption_index"], noun[self._text]
                shard.reject(image, "proposals", problem.reason, problem.detail, place, name)
        asked = len(image.nouns)
        image.nouns = [noun for noun in image.nouns if noun[self._text] not in unanswered]
        if not image.nouns:
            raise ImageProblem("not_found", f"of all nouns that it was asked for: {asked}")

    def _absence(self, image_id: str) -> ImageProblem:
        """Why an image has no proposals. Annotations know, models do not."""
        absence = getattr(self._proposer, "absence", None)
        return absence(image_id) if absence else ImageProblem("no_proposals")

    def _decoded(
        self, images: list[Image], announce: Callable[..., None]
    ) -> Iterator[tuple[list[Image], list[np.ndarray] | Exception]]:
        """Batches with their pixels; with what went wrong if one of the images is the reason."""
        for batch in _batches(images, self._proposer.batch_size):
            try:
                announce(*(image.index for image in batch))
                pixels = [self._pixels(image) for image in batch]
            except Exception as error:
                if not costs_one_image(error):
                    raise
                yield batch, error
            else:
                yield batch, pixels

    def _together(self, batch: list[Image], pixels: list[np.ndarray]) -> Exception | None:
        """What went wrong; one of the images is the reason, and they have to be done one by one."""
        try:
            self._propose(batch, pixels)
        except Exception as error:
            if not costs_one_image(error):
                raise
            return error.with_traceback(None)  # which would hold the tensors of the pass that failed
        return None

    def _alone(self, image: Image, announce: Callable[..., None]) -> None:
        announce(image.index)
        self._propose([image], [self._pixels(image)])

    def _pixels(self, image: Image) -> np.ndarray:
        file = _file(image)
        if getattr(self._proposer, "reads_pixels", True):
            return decode_jpeg(file.data)
        return np.broadcast_to(np.zeros(1, np.uint8), (file.height, file.width, 3))

    def _propose(self, batch: list[Image], pixels: list[np.ndarray]) -> None:
        ids = [image.row["image_id"] for image in batch]
        files = {"files": [_file(image) for image in batch]} if getattr(self._proposer, "takes_files", False) else {}
        if is_prompted(self._proposer):
            names = [[noun[self._text] for noun in image.nouns] for image in batch]
            for image, named in zip(batch, self._proposer.propose_named(pixels, ids, names, **files), strict=True):
                image.proposals, image.unanswered = self._signed(named.proposals), dict(named.unanswered)
        else:
            for image, proposals in zip(batch, self._proposer.propose(pixels, ids, **files), strict=True):
                image.proposals = self._signed(proposals)

    def _signed(self, proposals: Proposals) -> Proposals:
        """With the backend of every mask."""
        if proposals.backends is not None:
            return proposals
        return replace(proposals, backends=(self._name,) * len(proposals.masks))


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
