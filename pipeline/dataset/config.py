"""What `shards.…` in a job's configuration can say."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.configuration.limits import Limit


@dataclass
class ShardsConfig:
    """Size and content of the shards."""

    images_per_shard: Annotated[int, Limit(ge=1)] = 256
    """Consecutive images of the sorted source that make one shard: the unit of work, retry and commit."""
    max_side: Annotated[int, Limit(ge=0)] = 640
    """Stored regions are scaled down to this longest side (px); 0 keeps every size."""
    context: Annotated[float, Limit(ge=1)] = 1.0
    """The stored crop is the tight box scaled by this factor about its centre, with its background."""
    jpeg_quality: Annotated[int, Limit(ge=1, le=100)] = 95
    """JPEG quality of the stored crops (4:4:4)."""
