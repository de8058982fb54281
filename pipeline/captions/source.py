"""What every caption source yields: one table of images with their captions, in a fixed order."""

import os
from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.captions.addresses import address_refusal
from pipeline.errors import UserError
from pipeline.storage.secrets import redacted

# What would end the path of a URL, or be taken for an escaped character. The rest is escaped where it is opened.
_ESCAPES = (("%", "%25"), ("?", "%3F"), ("#", "%23"))


class CaptionSource(Protocol):
    """Images with their captions, from one kind of dataset."""

    @property
    def dropped(self) -> int | None:
        """Rows that `captions.where` dropped when they were read last; None without it."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows with schema `LISTING` (and `kept`, with `captions.keep`), sorted by image_id, the same at every
        call.

        Batches have any size. The memory in use does not grow with the number of rows, except where
        the format is a single JSON document.

        Raises:
            UserError: the input is malformed as a whole.
            OSError: storage is broken or unreachable.
        """
        ...


def image_root(images: str | None) -> str | None:
    """`captions.images` as a URI to join names to, after a look whether it is there.

    Raises:
        UserError: it is not there, not readable, or no folder and no zip archive.
    """
    if images is None:
        return None
    images = root_uri(images)
    folder, chained, archive = images.partition("::")
    if address_refusal(archive if chained and folder.startswith("zip://") else images):
        raise UserError(
            f"captions.images: {redacted(images)} is neither a folder, a prefix nor a zip archive that images are "
            "read from; for a folder in an archive say zip://FOLDER::ARCHIVE.zip"
        )
    if images.startswith(("http://", "https://")):  # which need not answer for a directory
        return images
    storage.check_readable(images, "captions.images")
    if storage.is_local(images) and not chained and os.path.isfile(storage.filesystem(images)[1]):
        tar = " (with captions.format webdataset, captions.path takes tars)" if ".tar" in images else ""
        raise UserError(f"captions.images: {images} is a file, neither a folder nor a zip archive; unpack it{tar}")
    return images


def root_uri(images: str) -> str:
    """`captions.images` as a URI to join names to; nothing is asked of storage."""
    return f"zip://::{images}" if images.lower().endswith(".zip") and "::" not in images else images


def image_address(images: str | None, name: str) -> str:
    """The URI of an image that a dataset calls `name`: as it is, or inside `images` if relative."""
    if images is None or is_absolute_name(name):
        return name
    if _on_the_web(images):
        for character, escaped in _ESCAPES:
            name = name.replace(character, escaped)
    return storage.join(images, name)


def image_addresses(images: str | None, names: pa.Array) -> pa.Array:
    """`image_address` of every name; "" stays empty."""
    if images is None:
        return names
    escaped = names
    if _on_the_web(images):
        for character, code in _ESCAPES:
            escaped = pc.replace_substring(escaped, character, code)
    before, after = storage.join(images, "\0").split("\0")
    joined = pc.binary_join_element_wise(before, escaped, after, "")
    absolute = pc.or_(pc.match_substring(names, "://"), pc.starts_with(names, "/"))
    return pc.if_else(pc.or_(absolute, pc.equal(names, "")), names, joined)


def is_absolute_name(name: str) -> bool:
    """Whether what a dataset calls an image is an address by itself, rather than a name inside `captions.images`."""
    return "://" in name or name.startswith("/")


def _on_the_web(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))
