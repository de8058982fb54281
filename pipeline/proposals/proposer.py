"""The contract of a proposal backend: how it is made, the one method it has, and what that returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

import numpy as np

from pipeline.masks.masks import Masks

if TYPE_CHECKING:
    from pipeline.images import ImageProblem


@dataclass(frozen=True)
class Proposals:
    """The mask proposals of one image, best first. K may be 0; masks overlap, none is empty."""

    masks: Masks
    """K masks in the frame of the image given."""
    scores: np.ndarray
    """float32 [K], descending within each backend; comparable within one backend only."""
    backends: tuple[str, ...] | None = None
    """K names of backends; None: all masks are of the backend that was asked."""
    prompts: tuple[Mapping[str, float], ...] | None = None
    """K mappings from each name that the mask answers to how well it does, 0..1; empty where no name asked for the
    mask. None: no backend was asked by names."""
    asked: tuple[str, ...] | None = None
    """The names that were asked for; None: no backend was asked by names."""


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
    - `takes_files`, a class attribute: True if `propose` and `propose_named` also take `files`, a sequence of
      `UprightJpeg`: what the images were read from.
    - `prompted`, an attribute: True if it is asked by names; see `PromptedProposer`.
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
class NamedProposals:
    """What a backend found of the names that an image was asked for."""

    proposals: Proposals
    """With `prompts`: every mask answers one name at least, unless backends that know no names gave masks, too."""
    unanswered: "Mapping[str, ImageProblem]"
    """Each name that no mask answers, and why: `not_found`; `empty_name`, `name_too_long` or `unknown_words` where the
    model cannot be asked for it; `not_asked` of proposals that were kept."""


class PromptedProposer(Proposer, Protocol):
    """A backend that looks for what it is asked for: names in, masks out that show one of them.

    Where `prompted` is True, `propose_named` is called in place of `propose`.
    """

    prompted: bool

    def propose_named(
        self, images: Sequence[np.ndarray], image_ids: Sequence[str], names: Sequence[Sequence[str]]
    ) -> list[NamedProposals]:
        """Masks for each image; other arguments and errors as for `propose`.

        What comes out for a name does not depend on the other names of the image, except that a mask which overlaps a
        better one too much is dropped; its names are then those of the better one, too.

        Args:
            names: of each image the names to look for, any number; repeated ones count once.
        """
        ...


def is_prompted(proposer: Proposer) -> TypeGuard[PromptedProposer]:
    """Whether a backend is asked by names."""
    return getattr(proposer, "prompted", False)


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
