"""The bytes of a sample in its tar → pixels and mask."""

import numpy as np
import torch
from torchvision.io import ImageReadMode, decode_jpeg

from pipeline.dataset.sample import DamagedSampleError, checksum, unpack
from pipeline.images import ImageProblem, ImagesConfig, open_image, size_of
from pipeline.images.plain import plain_jpeg_size, plain_mask


def decode_sample(
    data: bytes, key: str, crc32: int | None = None, length: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decode the stored crop of a sample and its mask.

    Args:
        data: what lies at the sample's place in the tar.
        crc32: as the manifest states it; None: one of a version that did not.
        length: bytes that the sample should have, if that is known.

    Returns:
        image uint8 [3,h,w] RGB; mask bool [h,w], with at least one pixel.

    Raises:
        DamagedSampleError: they cannot be decoded, or are another sample's.
    """
    members = unpack(data, key, length)
    jpeg, png = members["jpg"], members["mask.png"]
    try:
        if crc32 is not None and checksum(jpeg, png, members["txt"]) != crc32:
            raise DamagedSampleError("its content differs from its checksum")
        mask = plain_mask(png, ImagesConfig.max_pixels)
        if mask is None:
            mask = np.array(open_image(png, ("PNG",)), dtype=bool)
        height, width = mask.shape
        # Before the picture takes the memory that its header asks for.
        if plain_jpeg_size(jpeg) != (width, height):
            width, height = size_of(jpeg, ("JPEG",))
        if mask.shape != (height, width) or not mask.any():
            raise DamagedSampleError(
                f"{mask.sum()} pixels in a mask of {list(mask.shape)} for a crop of {[height, width]}"
            )
        image = _pixels(jpeg)
    except ImageProblem as problem:
        raise DamagedSampleError(str(problem)) from problem
    except (OSError, SyntaxError, ValueError, RuntimeError) as error:  # Pillow, torchvision
        raise DamagedSampleError(str(error).partition("\n")[0] or type(error).__name__) from error
    return image, torch.from_numpy(mask)


def _pixels(jpeg: bytes) -> torch.Tensor:
    try:
        # The same as Pillow's, in half the time, and stricter about what is damaged.
        return decode_jpeg(torch.frombuffer(bytearray(jpeg), dtype=torch.uint8), ImageReadMode.RGB)
    except RuntimeError:
        size_of(jpeg, ("JPEG",))  # raises, in words for people, where the damage is in the header
        raise
