"""Before any worker starts: is everything there, and what will be done?"""

from dataclasses import replace

from pipeline import storage
from pipeline.errors import UserError
from pipeline.paths import refuse_secrets
from pipeline.segmentation.classes import parse_classes
from pipeline.segmentation.job import SegmentConfig
from pipeline.segmentation.stage import stem

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def resolve(config: SegmentConfig) -> tuple[SegmentConfig, list[tuple[str, ...]]]:
    """The configuration with its classes read and its local paths absolute, and the classes.

    Raises:
        UserError: naming the key of what cannot be used.
    """
    if config.classes and config.classes_file:
        raise UserError("classes, classes_file: give one of them, not both")
    if config.classes_file:
        classes = parse_classes(_read_lines(config.classes_file), "classes_file")
    else:
        classes = parse_classes(config.classes)
    refuse_secrets("images", config.images)
    resolved = replace(
        config.resolved(),
        images=storage.absolute(config.images),
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


def list_images(uri: str) -> list[str]:
    """The images of a folder, sorted, or the one image that `uri` names.

    Raises:
        UserError: there is nothing to read, or two images would write the same output.
    """
    storage.check_readable(uri, "images")
    if uri.partition("::")[0].lower().endswith(_SUFFIXES):
        return [uri]
    images = [storage.join(uri, name) for name in storage.list_names(uri) if name.lower().endswith(_SUFFIXES)]
    if not images:
        raise UserError(f"images: {uri} holds no images (looked for {', '.join(_SUFFIXES)})")
    by_name: dict[str, str] = {}
    for image in images:
        other = by_name.setdefault(stem(image), image)
        if other != image:
            raise UserError(
                f"images: {other} and {image} would both write labels/{stem(image)}.png; rename one of them"
            )
    return images
