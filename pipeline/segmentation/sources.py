"""Which images a segmentation job reads, and what their outputs are called.

An image's name is its path below the folder that all of `images` have in common, without the suffix. It follows from
`images` and not from what is found there, so that a file that is added later changes no other's name.
"""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline import storage
from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.storage.common_folder import Parts, common_folder, parts, relative
from pipeline.storage.patterns import matching_files
from pipeline.storage.uris import protocol

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".ppm")

# In bytes. Local files have at most 255, of which 22 are for what a name is while it is written; keys on S3 have 1024.
_LONGEST_NAME, _LONGEST_KEY = 255 - 22, 1024
_LONGEST_OUTPUT = ("segments", ".json")

_PATTERN = re.compile(r"[*?\[{]")


@dataclass(frozen=True)
class Sources:
    """The images of a job."""

    folder: Parts
    """What their names are relative to; images with another folder have other names."""
    images: dict[str, str]
    """URI by name, sorted by name."""


def find_images(given: Sequence[str], output: str) -> Sources:
    """The images that `images` means: files, the files of folders (not of the folders in them), and of patterns.

    Args:
        given: absolute paths and URIs.
        output: what is below it are not images but what a job wrote.

    Raises:
        UserError: nothing is given, something cannot be read or holds no images, or two images would have the same
            name.
    """
    if not given:
        raise UserError("images: no images are given; name images, folders or patterns such as 'photos/*.jpg'")
    found = [_expand(item) for item in given]
    folder, written = common_folder(uri for uri, _ in found), parts(output)
    by_name: dict[str, str] = {}
    for uri in sorted(uri for _, uris in found for uri in uris if parts(uri)[: len(written)] != written):
        name = posixpath.splitext(relative(uri, folder))[0]
        other = by_name.setdefault(name, uri)
        if other != uri:
            raise UserError(f"images: {other} and {uri} would both write labels/{name}.png; rename one of them")
    return Sources(folder, dict(sorted(by_name.items())))


def _expand(item: str) -> tuple[Parts, list[str]]:
    """A folder, and the images in or below it that `item` means."""
    if _is_pattern(item) and (special := _PATTERN.search(item)):
        folder = item[: item.rfind("/", 0, special.start()) + 1]
        uris = [uri for uri in matching_files(item, SUFFIXES, "images") if _is_image(uri) and not _is_hidden(uri)]
    else:
        storage.check_readable(item, "images")
        if _is_image(item):
            return parts(item)[:-1], [item]
        folder = item
        uris = [
            storage.join(item, name) for name in storage.list_names(item) if _is_image(name) and not _is_hidden(name)
        ]
    if not uris:
        raise UserError(
            f"images: {item} holds no images (looked for {', '.join(SUFFIXES)}); those in the folders below it are "
            f"{storage.join(folder, '**/*.jpg')!r}"
        )
    return parts(folder), uris


def _is_image(uri: str) -> bool:
    return uri.partition("::")[0].lower().endswith(SUFFIXES)


def _is_hidden(uri: str) -> bool:
    """Whether a file is not for people, such as the `._NAME` that a Mac lays beside every file."""
    return posixpath.basename(uri.partition("::")[0]).startswith(".")


def name_problem(output: str, name: str) -> ImageProblem | None:
    """Why nothing can be written for an image of this name, if so: `name_not_utf8`, `name_too_long`."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return ImageProblem("name_not_utf8", "the name of the file or of its folder is not UTF-8; rename it")
    folder, suffix = _LONGEST_OUTPUT
    written = storage.join(output, folder, name + suffix)
    if protocol(output) == "file":
        longest = max(len(part.encode()) for part in name.split("/")) + len(suffix)
        limit = _LONGEST_NAME
    else:
        longest, limit = len(written.partition("://")[2].partition("/")[2].encode()), _LONGEST_KEY
    if longest <= limit:
        return None
    return ImageProblem("name_too_long", f"the output would have a name of {longest} bytes, more than {limit}")


def _is_pattern(item: str) -> bool:
    """Whether special characters are meant as such: files may have them in their names, too."""
    if not _PATTERN.search(item) or "::" in item or item.startswith(("http://", "https://")):
        return False
    try:
        storage.check_readable(item, "images")
    except UserError:
        return True
    return False
