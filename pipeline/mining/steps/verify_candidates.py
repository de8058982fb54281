"""Candidates → what verifiers say of them."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from pipeline.clip import RegionEncoder
from pipeline.dataset.vocabulary import Vocabulary
from pipeline.images import ImageProblem, costs_one_image, decode_jpeg
from pipeline.masks.masks import Masks
from pipeline.mining.config import MatchedText
from pipeline.mining.second_opinion import Asked, asked_of, judged
from pipeline.mining.work import Image, Shard


class Verifier(NamedTuple):
    """A further CLIP, loaded."""

    name: str
    encoder: RegionEncoder
    vocabulary: Vocabulary
    """The dataset's nouns, embedded by this CLIP."""
    threads: int
    """That torch may use meanwhile."""


class VerifyCandidates:
    """Candidates → what verifiers say of them. Nothing that is wrong here rejects an image: the dataset is what it is
    without verifiers."""

    def __init__(self, verifiers: Sequence[Verifier], text: MatchedText = "noun"):
        """`text`: what was matched."""
        self._verifiers = verifiers
        self._text = text

    def __call__(
        self,
        shard: Shard,
        announce: Callable[[int], None],
        *,
        ahead: bool = True,
        names: Collection[str] | None = None,
    ) -> Shard:
        """Set `opinions` of the shard's remaining images, or their `problem`.

        Args:
            announce, ahead: as of `MatchRegions`.
            names: of the verifiers that are wanted; None: all.
        """
        for verifier in self._verifiers:
            if names is None or verifier.name in names:
                torch.set_num_threads(verifier.threads)
                self._verify(shard, verifier, announce, ahead)
        return shard

    def _verify(self, shard: Shard, verifier: Verifier, announce: Callable[[int], None], ahead: bool) -> None:
        def inputs() -> Iterator[tuple[np.ndarray, Masks, tuple[Image, Asked]]]:
            for image in shard.remaining():
                if image.problem is None and any(image.matches or ()):
                    with _problem_of(image):
                        announce(image.index)
                        assert image.jpeg is not None  # only a rejected image is without
                        pixels, asked = decode_jpeg(image.jpeg.data), asked_of(image, self._text)
                        if pixels.shape[:2] != asked.masks.size:
                            raise ImageProblem("other_size")
                    if image.problem is None:
                        yield pixels, asked.masks, (image, asked)

        # Not together: the same bits whether it is asked while mining or afterwards, when some images may be gone.
        for (image, asked), features_VD, valid_V in verifier.encoder.encode(inputs(), ahead=ahead, together=False):
            if valid_V.all():
                image.opinions[verifier.name] = judged(features_VD, verifier.vocabulary.embeddings(asked.texts), asked)
            else:  # of a table that somebody edited
                image.problem = "empty_masks"


@contextlib.contextmanager
def _problem_of(image: Image) -> Iterator[None]:
    """Whatever is wrong with one image is its problem."""
    try:
        yield
    except ImageProblem as problem:
        image.problem = problem.reason
    except Exception as error:
        if not costs_one_image(error):
            raise
        image.problem = "failed"
