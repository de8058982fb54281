"""From `captions.path`, or another key, to the files it means."""

import posixpath
import re
from collections.abc import Sequence

from braceexpand import UnbalancedBracesError, braceexpand  # type: ignore[attr-defined]  # a stub that lacks one

from pipeline import storage
from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of

IMAGE_EXTENSIONS = ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "avif", "tif", "tiff", "ppm")
"""What files with the formats that are read are called."""
UNREAD_IMAGE_EXTENSIONS = ("heic", "heif", "jxl", "jp2")
"""Images, too, which are rejected with the name of their kind when they are read."""

_GLOB = re.compile(r"[*?\[]")
_SPECIAL = re.compile(r"[*?\[{]")
# Folders that macOS adds to archives.
_FOREIGN_FOLDERS = ("__MACOSX",)
_NAMES_SHOWN = 6


def matching_files(
    path: str, suffixes: Sequence[str], key: str = "captions.path", named_suffixes: Sequence[str] = ()
) -> list[str]:
    """The files of a path, directory, glob or brace pattern, sorted, written as the user wrote it.

    What is there under exactly this name is meant, whatever characters the name holds. Only a directory is searched
    for `suffixes`; files that a pattern matches are taken at its word. Hidden files (`._a.csv`, as Macs write them)
    are left out, unless the pattern itself names them.

    Args:
        key: the configuration key that messages name.
        named_suffixes: further suffixes of files that are read if named, and left alone in a directory.

    Raises:
        UserError: nothing matches, a single file has none of the suffixes, or storage cannot be read.
    """
    patterns = [path]
    if not is_there(path):
        try:
            patterns = sorted(set(braceexpand(path, escape=False)))
        except UnbalancedBracesError as error:
            raise UserError(f"{key}: {path} has unbalanced braces") from error
    files = [file for pattern in patterns for file in _expand(pattern, suffixes, key, named_suffixes)]
    if not files:
        raise UserError(
            f"{key}: 0 files match {path} (looked for {', '.join(suffixes)}{_held(path)}); "
            "check the path, and quote patterns so that the shell does not expand them"
        )
    return sorted(set(files))


def _held(path: str) -> str:
    """What is in a folder, in words; empty of a pattern, and of a folder with nothing in it."""
    if _SPECIAL.search(path) and not is_there(path):
        return ""
    names = [name for name in storage.list_names(path) if not is_hidden(name)]
    return f"; it holds {first_of(names, _NAMES_SHOWN)}" if names else ""


def is_there(path: str) -> bool:
    """Whether a path with special characters (`*?[{`) names something as it is; false for one without."""
    if not _SPECIAL.search(path) or path.startswith(("http://", "https://")):
        return False
    try:
        return storage.exists(path)
    except (OSError, ValueError):
        return False


def is_hidden(name: str) -> bool:
    """Whether a relative name is, or lies in, what operating systems and editors add: `._a.jpg`, `__MACOSX/a.jpg`."""
    return any(part.startswith(".") or part in _FOREIGN_FOLDERS for part in name.split("/") if part not in (".", ".."))


def _expand(pattern: str, suffixes: Sequence[str], key: str, named_suffixes: Sequence[str]) -> list[str]:
    if _GLOB.search(pattern) and not pattern.startswith(("http://", "https://")) and not is_there(pattern):
        return _glob(pattern, key)
    storage.check_readable(pattern, key)
    is_named = pattern.partition("::")[0].lower().endswith((*suffixes, *named_suffixes))
    if is_named and not is_local_directory(pattern):
        return [pattern]
    names = storage.list_names(pattern)
    if not names and not is_named and _is_file(pattern):
        raise UserError(
            f"{key}: {pattern} is there, but its kind is not known; read are {', '.join([*suffixes, *named_suffixes])}"
        )
    return [
        storage.join(pattern, name) for name in names if name.lower().endswith(tuple(suffixes)) and not is_hidden(name)
    ]


def _glob(pattern: str, key: str) -> list[str]:
    root = _folder_of(pattern)
    storage.check_readable(root or ".", key)
    fs, root_path = storage.filesystem(root or ".")
    _, path = storage.filesystem(pattern)
    rest = pattern[len(root) :]
    if path.endswith("/" + rest):
        path = re.sub(r"([*?\[])", r"[\1]", path.removesuffix(rest)) + rest
    # fsspec answers with absolute paths; the listing keeps the user's own prefix.
    found = [
        posixpath.relpath(name, root_path.rstrip("/") or "/")
        for name, info in fs.glob(path, detail=True).items()
        if info["type"] != "directory"
    ]
    return [root + name for name in found if is_hidden(rest) or not is_hidden(name)]


def _folder_of(pattern: str) -> str:
    """What stands before the first component with special characters, except those that folders have in their names."""
    special = _GLOB.search(pattern)
    root = pattern[: pattern.rfind("/", 0, special.start() if special else len(pattern)) + 1]
    while (end := pattern.find("/", len(root))) > 0 and is_there(pattern[:end]):
        root = pattern[: end + 1]
    return root


def is_local_directory(path: str) -> bool:
    """Whether a path is a folder of this machine."""
    fs, inner = storage.filesystem(path)
    return storage.is_local(path) and fs.isdir(inner)


def _is_file(path: str) -> bool:
    fs, inner = storage.filesystem(path)
    return fs.isfile(inner)
