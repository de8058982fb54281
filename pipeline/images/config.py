"""What `images.…` in a job's configuration can say."""

from dataclasses import dataclass, field
from typing import Annotated

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import Running


@dataclass
class WebConfig:
    """How web servers are asked for images; requests to storage (S3 and the like) have rules of their own."""

    per_host: Annotated[int, Limit(ge=1), Running] = 4
    """Requests to one host that a worker has under way."""
    attempts: Annotated[int, Limit(ge=1), Running] = 3
    """How often an image is asked for where the server is busy (429, 5xx) or the connection breaks, with pauses that
    double."""
    timeout_seconds: Annotated[float, Limit(gt=0), Running] = 60.0
    """For one image, with all attempts; then it is rejected (timed_out)."""
    robots_tag: Annotated[bool, Running] = True
    """Reject images whose server says noai, noimageai, noindex or noimageindex by `X-Robots-Tag`, as img2dataset does
    (robots_tag)."""


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
    web: WebConfig = field(default_factory=WebConfig)
