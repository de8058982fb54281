"""Caption sources, and the listing of what they hold."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.captions.config import CaptionsConfig
    from pipeline.captions.images import read_image
    from pipeline.captions.listing import Listing, measure_listing, read_shard, stored_listing, write_listing
    from pipeline.captions.opening import at_commits, open_captions
    from pipeline.captions.presence import ImagesLookedFor
    from pipeline.captions.source import CaptionSource

__all__ = [
    "CaptionSource",
    "CaptionsConfig",
    "ImagesLookedFor",
    "Listing",
    "at_commits",
    "measure_listing",
    "open_captions",
    "read_image",
    "read_shard",
    "stored_listing",
    "write_listing",
]

__getattr__ = lazy_imports(__name__)
