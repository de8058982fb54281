"""Caption sources, and the listing of what they hold."""

from pipeline.captions.coco import CocoCaptions
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.images import read_image
from pipeline.captions.listing import Listing, measure_listing, read_shard, stored_listing, write_listing
from pipeline.captions.presence import ImagesLookedFor
from pipeline.captions.source import CaptionSource
from pipeline.captions.table import TableCaptions
from pipeline.captions.webdataset import WebDatasetCaptions
from pipeline.errors import UserError

__all__ = [
    "CaptionSource",
    "CaptionsConfig",
    "ImagesLookedFor",
    "Listing",
    "measure_listing",
    "open_captions",
    "read_image",
    "read_shard",
    "stored_listing",
    "write_listing",
]

_SOURCES = {"coco": CocoCaptions, "table": TableCaptions, "webdataset": WebDatasetCaptions}


def open_captions(config: CaptionsConfig) -> CaptionSource:
    """The source that the configuration describes, after looking that it is there and readable.

    Raises:
        UserError: naming the key to change.
    """
    if config.format not in _SOURCES:
        raise UserError(f"captions.format: {config.format!r} is none of {', '.join(_SOURCES)}")
    return _SOURCES[config.format](config)
