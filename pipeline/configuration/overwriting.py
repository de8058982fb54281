"""`--overwrite`: deleting what an earlier job of the same kind wrote, and nothing else.

A directory says by its `config.yaml` which job made it. In any other directory nothing is deleted, whatever its files
are called: it may be somebody's home. Within it, only names that the job itself writes are deleted, and nothing is
deleted through a symbolic link.
"""

import os
import posixpath
import re
from collections.abc import Collection, Sequence

from pipeline import storage
from pipeline.configuration.fingerprint import kind_of_directory
from pipeline.configuration.recipe import COMMANDS, Kind
from pipeline.errors import UserError
from pipeline.storage.local_files import TEMPORARY


def prepare_output(output: str, kind: Kind, own: Sequence[str], *, overwrite: bool) -> None:
    """Before the first file of a job: what an earlier one wrote is deleted if that is wanted, and nobody's files are in
    the way.

    Args:
        kind, own: as of `clear`.

    Raises:
        UserError, OSError: as `clear` and `check_nothing_there`.
    """
    if overwrite:
        clear(output, kind, own)
    check_nothing_there(output, own)


def clear(output: str, kind: Kind, own: Sequence[str]) -> None:
    """Delete the files of an earlier job, in the order of `own`, and folders that are empty then.

    Args:
        kind: of the job that wants the directory.
        own: patterns of all files that such a job writes, as paths inside the directory; its `config.yaml` last.

    Raises:
        UserError: the directory is not empty, and no job of this kind has made it; nothing was deleted.
        OSError: storage failed; what is left still is a directory of this kind.
    """
    if not storage.exists(storage.join(output, "config.yaml")):
        if names := storage.list_names(output):
            raise UserError(
                f"output: {output} holds {names[0]} but no config.yaml, so no job of this program has made it; "
                "--overwrite deletes nothing there: choose another directory, or empty it yourself"
            )
        return
    found = kind_of_directory(output)
    if found != kind:
        made_by = COMMANDS[found] if found else "no job of this program"
        raise UserError(
            f"output: {output} was made by {made_by}, not by {COMMANDS[kind]}; "
            "--overwrite deletes nothing there: choose another directory"
        )
    remove_files(output, own)


def remove_files(output: str, own: Sequence[str]) -> None:
    """Delete the files of a directory that match one of the patterns, in the order of these, and folders of them that
    are empty then.

    Raises:
        UserError: one of the folders is a symbolic link; nothing was deleted.
        OSError: storage failed.
    """
    check_no_links(output, _folders(own))
    for file in own_files(output, own):
        storage.remove(storage.join(output, file))
    _remove_empty_folders(output, own)


def check_nothing_there(output: str, own: Sequence[str]) -> None:
    """Check that a job which begins in a directory without `config.yaml` replaces no file there.

    Raises:
        UserError: naming a file that is there already, and whose it is nobody knows.
        OSError: storage cannot be read.
    """
    if not storage.exists(output) or storage.exists(storage.join(output, "config.yaml")):
        return
    if files := own_files(output, own):
        raise UserError(
            f"output: {output} holds {files[0]} but no config.yaml, so nothing says what made it; "
            "choose another directory"
        )


def own_files(output: str, own: Sequence[str]) -> list[str]:
    """The files of an output directory that match one of the patterns, in the order of the patterns.

    Half-written files of these names count, and a symbolic link in place of a file counts as that file.
    """
    patterns = [re.compile(pattern) for pattern in own]
    found = {file: rank for file in _files(output, _folders(own)) if (rank := _rank(file, patterns)) is not None}
    return sorted(found, key=lambda file: (found[file], file))


def check_no_links(output: str, folders: Collection[str]) -> None:
    """Check that none of these folders of a local directory is a symbolic link.

    Raises:
        UserError: one is; deleting there would delete elsewhere.
    """
    if not storage.is_local(output):
        return
    _, path = storage.filesystem(output)
    for folder in folders:
        if os.path.islink(os.path.join(path, folder)):
            raise UserError(
                f"{output}/{folder} is a symbolic link; nothing behind it is deleted: replace it by a folder"
            )


def _rank(file: str, patterns: Sequence[re.Pattern]) -> int | None:
    folder, name = posixpath.split(file)
    if half := re.fullmatch(TEMPORARY, name):
        file = posixpath.join(folder, half[1])
    return next((rank for rank, pattern in enumerate(patterns) if pattern.fullmatch(file)), None)


def _folders(own: Sequence[str]) -> list[str]:
    return sorted({pattern.partition("/")[0] for pattern in own if "/" in pattern})


def _files(output: str, folders: Sequence[str]) -> list[str]:
    """Files at the top of a directory and at any depth of these folders of it, as paths inside it."""
    fs, path = storage.filesystem(output)
    if storage.is_local(output):
        files = [entry.name for entry in os.scandir(path) if not entry.is_dir(follow_symlinks=False)]
        for folder in folders:
            for where, _, names in os.walk(os.path.join(path, folder)):  # which follows no links inside
                inside = os.path.relpath(where, path).replace(os.sep, "/")
                files += [f"{inside}/{name}" for name in names]
        return files
    files = storage.list_names(output)
    for folder in folders:
        found = fs.find(storage.filesystem(storage.join(output, folder))[1])
        files += [name.removeprefix(path.rstrip("/") + "/") for name in found]
    return files


def _remove_empty_folders(output: str, own: Sequence[str]) -> None:
    if not storage.is_local(output):
        return
    _, path = storage.filesystem(output)
    for folder in _folders(own):
        for where, _, _ in os.walk(os.path.join(path, folder), topdown=False):
            if not os.listdir(where):
                os.rmdir(where)
