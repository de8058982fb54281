"""Proposals → candidates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from pipeline.clip import RegionEncoder
from pipeline.dataset.folds import fold_of
from pipeline.dataset.vocabulary import Vocabulary
from pipeline.images import decode_jpeg
from pipeline.masks.masks import Masks
from pipeline.mining.config import MatchingConfig
from pipeline.mining.matching import match
from pipeline.mining.work import Image, Shard, reject_on_error


class MatchRegions:
    """Proposals → the candidates of every noun, by CLIP."""

    def __init__(self, encoders: Sequence[RegionEncoder], matching: MatchingConfig, vocabulary: Vocabulary):
        """`encoders`: one for all images; or several, the f-th for the images of fold f of as many."""
        self._encoders = encoders
        self._matching = matching
        self._vocabulary = vocabulary

    def __call__(self, shard: Shard, announce: Callable[[int], None], *, ahead: bool = True) -> Shard:
        """Set `valid`, bool [K], and `matches` of the shard's remaining images; reject those that cannot be encoded.

        Args:
            announce: is told the index of each image before the work on it begins.
            ahead: images are decoded and cut while those before them are encoded, so that the image that was announced
                last need not be the one that is worked on.
        """

        folds = len(self._encoders)
        by_fold: list[list[Image]] = [[] for _ in range(folds)]
        for image in shard.remaining():
            by_fold[fold_of(image.row["image_id"], folds)].append(image)
        # One after the other: what a batch holds depends on the shard alone.
        for encoder, images in zip(self._encoders, by_fold, strict=True):
            self._match(shard, encoder, images, announce, ahead)
        return shard

    def _match(
        self, shard: Shard, encoder: RegionEncoder, images: list[Image], announce: Callable[[int], None], ahead: bool
    ) -> None:
        def inputs() -> Iterator[tuple[np.ndarray, Masks, Image]]:
            for image in images:
                with reject_on_error(shard, image, "matching"):
                    announce(image.index)
                    assert image.jpeg is not None  # only a rejected image is without
                    pixels = decode_jpeg(image.jpeg.data)
                if not image.rejected:
                    assert image.proposals is not None
                    yield pixels, image.proposals.masks, image

        for image, features_VD, valid_K in encoder.encode(inputs(), ahead=ahead):
            image.valid = valid_K
            texts = [noun[self._matching.text] for noun in image.nouns]
            # Each once: two phrases of a noun, matched by their noun, are no rivals of each other.
            number = {text: index for index, text in enumerate(dict.fromkeys(texts))}
            allowed_VN = _asked_for(image, list(number)) if self._matching.among == "prompted" else None
            found = match(features_VD, self._vocabulary.embeddings(list(number)), self._matching.candidates, allowed_VN)
            image.matches = [
                [replace(candidate, noun=noun) for candidate in found[number[text]]] for noun, text in enumerate(texts)
            ]


def _asked_for(image: Image, texts: Sequence[str]) -> np.ndarray:
    """Of every valid region and every text whether the text asked for it, bool [V,N]."""
    assert image.proposals is not None
    assert image.valid is not None
    prompts = image.proposals.prompts or ({},) * len(image.proposals.masks)
    asked_KN = [[text in of for text in texts] for of in prompts]
    return np.array(asked_KN, bool).reshape(len(prompts), len(texts))[image.valid]
