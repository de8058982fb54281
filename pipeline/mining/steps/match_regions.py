"""Proposals → candidates."""

from collections.abc import Callable, Iterator

import numpy as np

from pipeline.clip import RegionEncoder
from pipeline.dataset.vocabulary import Vocabulary
from pipeline.images import decode_jpeg
from pipeline.masks.masks import Masks
from pipeline.mining.matching import match
from pipeline.mining.work import Image, Shard, reject_on_error


class MatchRegions:
    """Proposals → the candidates of every noun, by CLIP."""

    def __init__(self, encoder: RegionEncoder, candidates: int, vocabulary: Vocabulary):
        self._encoder = encoder
        self._candidates = candidates
        self._vocabulary = vocabulary

    def __call__(self, shard: Shard, announce: Callable[[int], None], *, ahead: bool = True) -> Shard:
        """Set `valid`, bool [K], and `matches` of the shard's remaining images; reject those that cannot be encoded.

        Args:
            announce: is told the index of each image before the work on it begins.
            ahead: images are decoded and cut while those before them are encoded, so that the image that was announced
                last need not be the one that is worked on.
        """

        def inputs() -> Iterator[tuple[np.ndarray, Masks, Image]]:
            for image in shard.remaining():
                with reject_on_error(shard, image, "matching"):
                    announce(image.index)
                    assert image.jpeg is not None  # only a rejected image is without
                    pixels = decode_jpeg(image.jpeg.data)
                if not image.rejected:
                    assert image.proposals is not None
                    yield pixels, image.proposals.masks, image

        for image, features_VD, valid_K in self._encoder.encode(inputs(), ahead=ahead):
            image.valid = valid_K
            nouns_ND = self._vocabulary.embeddings([noun["noun"] for noun in image.nouns])
            image.matches = match(features_VD, nouns_ND, self._candidates)
        return shard
