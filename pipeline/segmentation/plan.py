"""Before any worker starts: is the configuration usable, and what are the classes?"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace

from pipeline import storage
from pipeline.configuration.paths import refuse_secrets
from pipeline.errors import UserError
from pipeline.segmentation.classes import parse_classes
from pipeline.segmentation.job_config import SegmentJobConfig

_FILE_NAME = re.compile(r"\.(txt|json|jsonl|csv|tsv|ya?ml|names|list|lst)$", re.IGNORECASE)


def resolve(config: SegmentJobConfig) -> tuple[SegmentJobConfig, list[tuple[str, ...]]]:
    """The configuration with its images and classes as lists and its local paths absolute, and the classes.

    Raises:
        UserError: naming the key of what cannot be used.
    """
    if config.classes and config.classes_file:
        raise UserError("classes, classes_file: give one of them, not both")
    if config.classes_file:
        classes = parse_classes(_read_lines(config.classes_file), "classes_file")
    else:
        _check_no_file(config.classes)
        classes = parse_classes(config.classes)
    things = _things(config.things)
    if unknown := sorted(set(things or ()) - {names[0] for names in classes}):
        raise UserError(f"things: {', '.join(map(repr, unknown))} are no first names of the classes")
    images = [config.images] if isinstance(config.images, str) else config.images
    for image in images:
        refuse_secrets("images", image)
        if image != image.encode(errors="replace").decode():
            raise UserError(f"images: the name of {image!a} is not UTF-8; rename it")
    resolved = replace(
        config.resolved(),
        images=[storage.absolute(image) for image in images],
        classes=[", ".join(names) for names in classes],
        classes_file=None,
        things=things,
    )
    return resolved, classes


def _things(things: Sequence[str] | str | None) -> list[str] | None:
    """The names of things, each once; a text has commas between them."""
    if things is None:
        return None
    names = things.split(",") if isinstance(things, str) else things
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def _check_no_file(classes: Sequence[str] | str) -> None:
    """Raise UserError if what should be class names is the name of a file with them."""
    [given, *more] = [classes] if isinstance(classes, str) else [*classes, "", ""][:2]
    name = given.strip().removeprefix("@")
    if (more and more[0]) or "," in name:
        return
    if _FILE_NAME.search(name) or ("." in name and os.path.isfile(name)):
        raise UserError(f"classes: {given!r} is the name of a file, not of a class; use --classes_file {name}")


def _read_lines(uri: str) -> list[str]:
    """The classes in `classes_file`: its lines that are not empty, or the texts of a JSON list."""
    storage.check_readable(uri, "classes_file")
    try:
        text = storage.read_bytes(uri).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"classes_file: {uri} is not text in UTF-8: {error}; save it as UTF-8") from error
    if not text.lstrip().startswith(("[", "{")):
        return [line for line in text.splitlines() if line.strip()]
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"classes_file: {uri} begins like JSON and is none: {error}") from error
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise UserError(f"classes_file: {uri} is no JSON list of texts; write one class a line, or such a list")
    return listed
