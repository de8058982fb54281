"""From the configuration to the source that it describes."""

from collections.abc import Callable
from dataclasses import replace

from pipeline import storage
from pipeline.captions.coco import CocoCaptions
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.flickr import FlickrCaptions
from pipeline.captions.folder import FolderCaptions
from pipeline.captions.karpathy import KarpathyCaptions
from pipeline.captions.source import CaptionSource
from pipeline.captions.table import TableCaptions
from pipeline.captions.webdataset import WebDatasetCaptions
from pipeline.errors import UserError

_SOURCES: dict[str, Callable[[CaptionsConfig], CaptionSource]] = {
    "coco": CocoCaptions,
    "table": TableCaptions,
    "webdataset": WebDatasetCaptions,
    "karpathy": KarpathyCaptions,
    "flickr": FlickrCaptions,
    "folder": FolderCaptions,
}


def open_captions(config: CaptionsConfig) -> CaptionSource:
    """The source that the configuration describes, after looking that it is there and readable.

    Raises:
        UserError: naming the key to change.
    """
    if config.format not in _SOURCES:
        raise UserError(f"captions.format: {config.format!r} is none of {', '.join(_SOURCES)}")
    return _SOURCES[config.format](config)


def at_commits(config: CaptionsConfig) -> CaptionsConfig:
    """The same source, with commits in the place of branches of the Hugging Face hub.

    Raises:
        UserError: naming the key; see `storage.at_commit`.
    """
    images = config.images and storage.at_commit(config.images, "captions.images")
    return replace(config, path=storage.at_commit(config.path, "captions.path"), images=images)
