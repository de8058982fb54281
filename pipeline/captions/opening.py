"""From the configuration to the source that it describes."""

from collections.abc import Callable

from pipeline.captions.coco import CocoCaptions
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.source import CaptionSource
from pipeline.captions.table import TableCaptions
from pipeline.captions.webdataset import WebDatasetCaptions
from pipeline.errors import UserError

_SOURCES: dict[str, Callable[[CaptionsConfig], CaptionSource]] = {
    "coco": CocoCaptions,
    "table": TableCaptions,
    "webdataset": WebDatasetCaptions,
}


def open_captions(config: CaptionsConfig) -> CaptionSource:
    """The source that the configuration describes, after looking that it is there and readable.

    Raises:
        UserError: naming the key to change.
    """
    if config.format not in _SOURCES:
        raise UserError(f"captions.format: {config.format!r} is none of {', '.join(_SOURCES)}")
    return _SOURCES[config.format](config)
