"""What `images.…` in a job's configuration can say."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.configuration.limits import Limit


@dataclass
class ImagesConfig:
    """Limits on what is read."""

    max_side: Annotated[int, Limit(ge=0)] = 2048
    """Larger images are scaled down to this longest side (px) before anything else; 0 keeps every size.
    Bounds the memory of all later stages."""
    min_side: Annotated[int, Limit(ge=0)] = 8
    """Images with a side shorter than this (px) are rejected."""
    max_pixels: Annotated[int, Limit(ge=1)] = 100_000_000
    """Images with more pixels are rejected unread: decompression bombs."""
    max_bytes: Annotated[int, Limit(ge=1)] = 100_000_000
    """Image files with more bytes are rejected (too_many_bytes); a worker reads 16 files at a time."""
