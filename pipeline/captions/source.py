"""What every caption source gives: one table of images with their captions, in a fixed order."""

from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from pipeline import storage


class CaptionSource(Protocol):
    """Images with their captions, from one kind of dataset."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows with schema `LISTING`, sorted by image_id, the same at every call.

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
        UserError: it is not there or not readable.
    """
    if images is None:
        return None
    if images.lower().endswith(".zip") and "::" not in images:
        images = f"zip://::{images}"
    if not images.startswith(("http://", "https://")):  # which need not answer for a directory
        storage.check_readable(images, "captions.images")
    return images


def image_address(images: str | None, name: str) -> str:
    """The URI of an image that a dataset calls `name`: as it is, or inside `images` if relative."""
    if images is None or "://" in name or name.startswith("/"):
        return name
    return storage.join(images, name)
