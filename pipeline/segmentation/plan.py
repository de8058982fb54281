"""Before any worker starts: is the configuration usable, and what are the classes?"""

from dataclasses import replace

from pipeline import storage
from pipeline.errors import UserError
from pipeline.paths import refuse_secrets
from pipeline.segmentation.classes import parse_classes
from pipeline.segmentation.job import SegmentConfig


def resolve(config: SegmentConfig) -> tuple[SegmentConfig, list[tuple[str, ...]]]:
    """The configuration with its images and classes as lists and its local paths absolute, and the classes.

    Raises:
        UserError: naming the key of what cannot be used.
    """
    if config.classes and config.classes_file:
        raise UserError("classes, classes_file: give one of them, not both")
    if config.classes_file:
        classes = parse_classes(_read_lines(config.classes_file), "classes_file")
    else:
        classes = parse_classes(config.classes)
    images = [config.images] if isinstance(config.images, str) else config.images
    for image in images:
        refuse_secrets("images", image)
    resolved = replace(
        config.resolved(),
        images=[storage.absolute(image) for image in images],
        classes=[", ".join(names) for names in classes],
        classes_file=None,
    )
    return resolved, classes


def _read_lines(uri: str) -> list[str]:
    """The lines of `classes_file` that are not empty."""
    storage.check_readable(uri, "classes_file")
    try:
        text = storage.read_bytes(uri).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"classes_file: {uri} is not text in UTF-8: {error}; save it as UTF-8") from error
    return [line for line in text.splitlines() if line.strip()]
