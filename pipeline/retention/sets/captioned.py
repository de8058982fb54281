"""Images with captions from a listing of them: what cannot be used stays in it, with the reason."""

from collections.abc import Iterable

from pipeline.retention.sets.image_set import CaptionedImages, File, Files


def captioned_images(name: str, rows: Iterable[dict]) -> CaptionedImages:
    """A set of the rows of a listing.

    An image without captions is counted as one that cannot be used: it answers no text.

    Args:
        rows: as `schemas.LISTING`; fields that are null may be absent.
    """
    image_ids, files, captions = [], [], []
    for row in rows:
        usable = [caption for caption in row["captions"] if caption.strip()]
        problem = row.get("problem") or (None if usable else "no_captions")
        image_ids.append(row["image_id"])
        files.append(File(row["image_uri"], row.get("byte_offset"), row.get("byte_length"), problem))
        captions.append(usable)
    return CaptionedImages(name=name, image_ids=image_ids, pictures=Files(files), notes=(), captions=captions)
