"""From `captions.path`, or another key, to the files it means."""

import posixpath
import re
from collections.abc import Sequence

from braceexpand import UnbalancedBracesError, braceexpand

from pipeline import storage
from pipeline.errors import UserError

_GLOB = re.compile(r"[*?\[]")


def matching_files(path: str, suffixes: Sequence[str], key: str = "captions.path") -> list[str]:
    """The files of a path, directory, glob or brace pattern, sorted, written as the user wrote it.

    Only a directory is searched for `suffixes`; a file or pattern is taken at its word.

    Args:
        key: the configuration key that messages name.

    Raises:
        UserError: nothing matches, or storage cannot be read.
    """
    try:
        patterns = sorted(set(braceexpand(path, escape=False)))
    except UnbalancedBracesError as error:
        raise UserError(f"{key}: {path} has unbalanced braces") from error
    files = [file for pattern in patterns for file in _expand(pattern, suffixes, key)]
    if not files:
        raise UserError(
            f"{key}: 0 files match {path} (looked for {', '.join(suffixes)}); "
            "check the path, and quote patterns so that the shell does not expand them"
        )
    return sorted(set(files))


def _expand(pattern: str, suffixes: Sequence[str], key: str) -> list[str]:
    first_glob = _GLOB.search(pattern)
    if first_glob and not pattern.startswith(("http://", "https://")):
        root = pattern[: pattern.rfind("/", 0, first_glob.start()) + 1]
        storage.check_readable(root or ".", key)
        fs, path = storage.filesystem(pattern)
        _, root_path = storage.filesystem(root or ".")
        # fsspec answers with absolute paths; the listing keeps the user's own prefix.
        return [
            root + posixpath.relpath(found, root_path.rstrip("/") or "/")
            for found, info in fs.glob(path, detail=True).items()
            if info["type"] != "directory"
        ]
    storage.check_readable(pattern, key)
    if pattern.lower().endswith(tuple(suffixes)):
        return [pattern]
    return [
        storage.join(pattern, name) for name in storage.list_names(pattern) if name.lower().endswith(tuple(suffixes))
    ]
