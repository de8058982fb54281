"""What travels between the stages: one shard at a time, images as JPEG bytes, masks run-length encoded."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from pipeline.dataset.verified import SecondOpinion
from pipeline.images import ImageProblem, UprightJpeg, costs_one_image
from pipeline.mining.matching import Candidate
from pipeline.proposals import Proposals
from pipeline.storage.secrets import redacted


@dataclass
class Image:
    """An image of a shard and what is known of it so far."""

    index: int
    """Index in the shard."""
    row: dict
    """Its row of the captions table."""
    address: str | None = None
    """Where it is read from, if that is not what tables show: an address with a signature."""
    nouns: list[dict] = field(default_factory=list)
    """Its nouns that the vocabulary keeps."""
    file_bytes: int | None = None
    """Size of its file; None until it is read."""
    file_sha256: str | None = None
    perceptual_hash: int | None = None
    """Of the picture; None until it is decoded."""
    jpeg: UprightJpeg | None = None
    proposals: Proposals | None = None
    unanswered: dict[str, ImageProblem] = field(default_factory=dict)
    """Names that it was asked for and that no proposal answers, until they are recorded."""
    valid: np.ndarray | None = None
    """bool [K]: proposals that CLIP could encode (at least one pixel)."""
    matches: list[list[Candidate]] | None = None
    """Per noun the best candidates; `Candidate.region` counts valid proposals."""
    opinions: dict[str, SecondOpinion] = field(default_factory=dict)
    """By verifier what it says of these candidates, noun after noun."""
    problem: str | None = None
    """Why verifiers say nothing of it: a short code."""
    rejected: bool = False


@dataclass
class Shard:
    """A shard on its way through the stages."""

    number: int
    images: list[Image] = field(default_factory=list)
    rejects: list[dict] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage, how long a worker worked on it; waits for storage are part of it, waits for other stages are not."""
    waits: dict[str, dict[str, float]] = field(default_factory=dict)
    """By stage, what its worker waited for, and how long, seconds: see `pipeline.mining.waiting`."""
    ready: float | None = None
    """`time.time()` when the last stage was done with it."""
    error: str | None = None
    """Why the shard failed; the later stages hand it on untouched."""

    def remaining(self) -> list[Image]:
        """Images that are not rejected."""
        return [image for image in self.images if not image.rejected]

    def reject(
        self,
        image: Image,
        stage: str,
        reason: str,
        detail: str = "",
        caption_index: int | None = None,
        noun: str | None = None,
    ) -> None:
        """Record that an image, or one caption of it, or one noun of that caption, is of no use."""
        self.rejects.append(
            {
                "shard": self.number,
                "image_id": image.row["image_id"],
                "image_uri": redacted(image.row["image_uri"]),
                "caption_index": caption_index,
                "noun": noun,
                "image_bytes": image.file_bytes,
                "image_sha256": image.file_sha256,
                "stage": stage,
                "reason": reason,
                "detail": redacted(detail),
            }
        )
        if caption_index is None:
            image.rejected = True
            # Nothing of it is needed any more.
            image.jpeg = image.proposals = image.matches = None

    def reasons(self) -> Counter:
        """Rejected images by `stage: reason`."""
        return Counter(f"{r['stage']}: {r['reason']}" for r in self.rejects if r["caption_index"] is None)


@contextlib.contextmanager
def reject_on_error(shard: Shard, image: Image, stage: str) -> Iterator[None]:
    """Whatever is wrong with one image costs that image."""
    try:
        yield
    except ImageProblem as problem:
        shard.reject(image, stage, problem.reason, problem.detail)
    except Exception as error:
        if not costs_one_image(error):
            raise
        shard.reject(image, stage, "failed", f"{type(error).__name__}: {error}")
