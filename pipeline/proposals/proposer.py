"""The contract of a proposal backend: how it is made, the one method it has, and what that returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from pipeline.masks.masks import Masks


@dataclass(frozen=True)
class Proposals:
    """The mask proposals of one image, best first. K may be 0; masks overlap, none is empty."""

    masks: Masks
    """K masks in the frame of the image given."""
    scores: np.ndarray
    """float32 [K], descending; comparable within one backend only."""


class Proposer(Protocol):
    """A backend. Loaded once per worker and used for many images.

    Its class is called with the configuration of proposals and the backend's own options, `Backend(config, options)`.
    Beside the members below it may have these, which say how it is configured and run:

    - `options_class`, a class attribute: the dataclass of its options, a docstring under each field. Its fields are the
      keys of `proposals.options`; they are texts, numbers, truth values, and lists and mappings of those. `Limit` in
      the type of a number says what it may be, `LocalPath` in that of a path makes it absolute. Without this attribute
      the backend has no options, and its class is called with the configuration alone.
    - `learned`, a class attribute: True if a GPU makes it much faster; it then gets one where there is one.
    - `reads_pixels`, a class attribute: False if it looks at the sizes of images alone; mining then decodes none.
    - `absence(image_id) -> ImageProblem`, a method that says why an image has no proposals; else the reason is
      `no_proposals`.
    """

    identity: dict[str, str]
    """Name, version and the SHA-256 of whatever file shapes the proposals: weights, annotations.
    Part of the fingerprint of a dataset."""
    batch_size: int
    """How many images of one size `propose` does best at a time; it takes any number, of any sizes."""

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        """Proposals for each image.

        Args:
            images: uint8 [H, W, 3] RGB, upright, of any sizes.
            image_ids: one per image; only `ground_truth` and `mined` look at them.

        Raises:
            ImageProblem: this image cannot be used, others can.
        """
        ...


@dataclass(frozen=True)
class Queries:
    """The soft masks of one image and what the model that made them takes them for. Q may be 0."""

    mask_logits: np.ndarray
    """float32 [Q, h, w] at the model's resolution, covering the whole image (no padding)."""
    class_logits: np.ndarray
    """float32 [Q, N + 1]: one column per text, and a last one for "no object"."""


@runtime_checkable
class ClassifyingProposer(Proposer, Protocol):
    """A backend whose model also classifies its masks, by the embeddings of any class names (OVSeg Sec. 3.1)."""

    def propose_queries(
        self, images: Sequence[np.ndarray], image_ids: Sequence[str], texts_ND: np.ndarray
    ) -> list[Queries]:
        """Masks and class logits for each image; other arguments and errors as for `propose`.

        Args:
            texts_ND: float32 [N, D], the CLIP text embeddings of all names, of unit length.
        """
        ...


def check_image(image: np.ndarray) -> None:
    """Raise ValueError, with what was found, unless the array is an RGB image uint8 [H, W, 3]."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"an image must be RGB, uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
