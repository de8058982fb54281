"""Whole images through a CLIP, prepared as open_clip prepares them: scaled, cropped to a square, normalised.

Images are read, decoded and scaled in threads while the tower works. They are taken as they are stored, not turned by
their EXIF orientation, and transparency is dropped: so do open_clip and CLIP_benchmark, and published figures are made
like that.

Shape suffixes: U usable images, B images of a batch, S input side, D embedding width.
"""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image

from pipeline.clip import Clip
from pipeline.errors import UserError
from pipeline.images import ImageProblem, open_image
from pipeline.retention.sets import ImageSet
from pipeline.storage.in_threads import each_in_threads


@dataclass(frozen=True)
class Encoded:
    """What came of some images of a set, in their order."""

    usable: np.ndarray
    """bool, for each image: it could be read."""
    features: torch.Tensor
    """float32 [U,D], of unit length, on the CPU: of the usable images alone."""
    sha256: list[str | None]
    """Of each image's file."""
    problems: list[str | None]
    """Why an image could not be used: a short code, and what was found."""


@dataclass(frozen=True)
class _Prepared:
    pixels: torch.Tensor
    sha256: str


@torch.inference_mode()
def encode_images(clip: Clip, images: ImageSet, indices: Sequence[int], *, batch_size: int, readers: int) -> Encoded:
    """Encode some images of a set. The same images in the same order have the same bits, on the same hardware.

    Args:
        indices: places of the images in the set.
        batch_size: images per forward pass.
        readers: threads that read, decode and scale images.

    Raises:
        UserError: an embedding is not a number.
        OSError: storage failed.
    """
    clip.vision.eval()
    sha256: list[str | None] = []
    problems: list[str | None] = []
    parts = [torch.zeros((0, 0))]

    def usable() -> Iterator[torch.Tensor]:
        most = 2 * max(readers, batch_size)
        for _, prepared in each_in_threads(lambda index: _prepare(clip, images, int(index)), indices, readers, most):
            try:
                found = prepared.result()
                sha256.append(found.sha256)
                problems.append(None)
                yield found.pixels
            except ImageProblem as problem:
                sha256.append(None)
                problems.append(str(problem))

    for pixels_B3SS in _batches(usable(), batch_size):
        with clip.autocast():
            features_BD = clip.vision(pixels_B3SS.to(clip.device, non_blocking=True))
        parts.append(F.normalize(features_BD.float(), dim=-1))  # still on the device, which works on meanwhile
    features_UD = torch.cat(parts[1:]).cpu() if len(parts) > 1 else parts[0]
    check_finite(features_UD)
    return Encoded(np.array([problem is None for problem in problems], bool), features_UD, sha256, problems)


def check_finite(features: torch.Tensor) -> None:
    """Check that embeddings are numbers: compared with one that is none, nothing is greater.

    Raises:
        UserError: one is not.
    """
    if not bool(features.isfinite().all()):
        raise UserError("CLIP's embeddings are not all numbers: its weights are damaged, or the precision is too low")


def _prepare(clip: Clip, images: ImageSet, index: int) -> _Prepared:
    try:
        stored = images.pictures[index]
    except zipfile.BadZipFile as error:
        raise ImageProblem("damaged", str(error)) from error
    if isinstance(stored, np.ndarray):
        return _Prepared(clip.preprocess(Image.fromarray(stored)), hashlib.sha256(stored.tobytes()).hexdigest())
    picture = open_image(stored).convert("RGB")
    return _Prepared(clip.preprocess(picture), hashlib.sha256(stored).hexdigest())


def _batches(pixels: Iterator[torch.Tensor], size: int) -> Iterator[torch.Tensor]:
    batch: list[torch.Tensor] = []
    for pixels_3SS in pixels:
        batch.append(pixels_3SS)
        if len(batch) == size:
            yield torch.stack(batch)
            batch = []
    if batch:
        yield torch.stack(batch)


def reason_of(problem: str) -> str:
    """The short code of a problem, by which problems are counted."""
    return problem.partition(":")[0]
