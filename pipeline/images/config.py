"""What `images.…` in a job's configuration can say."""

from dataclasses import dataclass


@dataclass
class ImagesConfig:
    """Limits on what is read."""

    max_side: int = 2048
    """Larger images are scaled down to this longest side (px) before anything else; 0 keeps every size.
    Bounds the memory of all later stages."""
    min_side: int = 8
    """Images with a side shorter than this (px) are rejected."""
    max_pixels: int = 100_000_000
    """Images with more pixels are rejected unread: decompression bombs."""
    max_bytes: int = 100_000_000
    """Image files with more bytes are rejected (too_many_bytes); a worker reads 16 files at a time."""
