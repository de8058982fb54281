"""CLIP embeddings of masked regions, batched across images.

Shape suffixes: K masks of an image, V of them valid, R regions in flight, S input side, D embedding width.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.clip.model import Clip
from pipeline.masks.masks import Masks
from pipeline.regions import RegionsConfig, masked_regions

Companion = TypeVar("Companion")

# Masks are decoded in groups of at most this many pixels, so that 300 proposals of a large photograph
# never exist decoded at once.
_DECODED_MASK_PIXELS = 16 * 2**20


class RegionEncoder:
    """Cuts the masked regions out of images and encodes them in batches of fixed size.

    The composition of the batches depends on the order of the input alone, so the same input has the same features, bit
    by bit. In flight are one decoded image, masks of 16 Mi pixels together, and one batch of CLIP inputs.
    """

    def __init__(self, clip: Clip, config: RegionsConfig, batch_size: int):
        self._clip = clip
        self._config = config
        self._batch_size = batch_size

    def encode(
        self, images: Iterable[tuple[np.ndarray, Masks, Companion]]
    ) -> Iterator[tuple[Companion, np.ndarray, np.ndarray]]:
        """Encode images one after the other.

        Args:
            images: uint8 [H,W,3] RGB, its K masks, and anything that is to come out with its features.

        Yields:
            per image, in order: its companion, unit-length features float32 [V,D], and valid bool [K]: the masks that
            have a pixel.

        Raises:
            ValueError: the masks of an image are in another frame than the image.
        """
        size = self._clip.input.size
        batch_R3SS = torch.empty((self._batch_size, 3, size, size), device=self._clip.device)
        masks_R1SS = torch.empty((self._batch_size, 1, size, size), dtype=torch.bool, device=self._clip.device)
        filled = 0
        encoded: list[np.ndarray] = []  # features not handed out yet
        unfinished: deque[tuple[Companion, np.ndarray]] = deque()  # the images not handed out yet, and their `valid`
        for image, masks, companion in images:
            valid = []
            for pixels_V3SS, masks_V1SS, valid_k in self._cut(image, masks):
                valid.append(valid_k)
                while len(pixels_V3SS):
                    taken = min(len(pixels_V3SS), self._batch_size - filled)
                    batch_R3SS[filled : filled + taken] = pixels_V3SS[:taken]
                    masks_R1SS[filled : filled + taken] = masks_V1SS[:taken]
                    pixels_V3SS, masks_V1SS = pixels_V3SS[taken:], masks_V1SS[taken:]
                    filled += taken
                    if filled == self._batch_size:
                        encoded.append(self._forward(batch_R3SS, masks_R1SS))
                        filled = 0
            unfinished.append((companion, np.concatenate(valid) if valid else np.zeros(0, dtype=bool)))
            while unfinished and sum(map(len, encoded)) >= unfinished[0][1].sum():
                done, valid_K = unfinished.popleft()
                features, encoded = _take(encoded, int(valid_K.sum()))
                yield done, features, valid_K
        if filled:
            encoded.append(self._forward(batch_R3SS[:filled], masks_R1SS[:filled]))
        for done, valid_K in unfinished:
            features, encoded = _take(encoded, int(valid_K.sum()))
            yield done, features, valid_K

    def _cut(self, image: np.ndarray, masks: Masks) -> Iterator[tuple[torch.Tensor, torch.Tensor, np.ndarray]]:
        if masks.size != image.shape[:2]:
            raise ValueError(f"masks are in a frame of height × width {masks.size}, their image is {image.shape[:2]}")
        image_3HW = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(self._clip.device)
        group = min(self._batch_size, max(1, _DECODED_MASK_PIXELS // (masks.height * masks.width)))
        for start in range(0, len(masks), group):
            masks_KHW = torch.from_numpy(masks[start : start + group].decode())
            pixels_V3SS, masks_V1SS, valid_K, _ = masked_regions(
                image_3HW,
                masks_KHW.to(self._clip.device).bool(),
                fill=self._config.fill,
                expand=self._config.expand,
                clip_input=self._clip.input,
            )
            yield pixels_V3SS, masks_V1SS, valid_K.cpu().numpy()

    @torch.inference_mode()
    def _forward(self, pixels_R3SS: torch.Tensor, masks_R1SS: torch.Tensor) -> np.ndarray:
        with self._clip.autocast():
            features_RD = self._clip.vision(pixels_R3SS, masks_R1SS)
        return F.normalize(features_RD.float(), dim=-1).cpu().numpy()


def _take(encoded: list[np.ndarray], count: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The first `count` rows of a list of arrays, and the rest."""
    if not encoded:
        return np.zeros((0, 0), dtype=np.float32), encoded
    rows = np.concatenate(encoded)
    return rows[:count], [rows[count:]]
