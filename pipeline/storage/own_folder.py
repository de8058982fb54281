"""Folders that keep files on a node from one job to the next: this user's alone, and taken as found only if they are.

Whoever could write into such a folder could give a job other weights or samples than those it asked for, or have it
write over a file that a link leads to.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import UserError

CACHE_KEY = "XDG_CACHE_HOME"
"""The environment variable that says where the user's cache folder is, if not at ~/.cache."""


def own_folder(folder: Path, key: str) -> Path:
    """The folder, made (mode 0700) if it is not there.

    Args:
        key: of the configuration, or the environment variable, that says where it lies; for messages.

    Raises:
        UserError: it cannot be made, is a link, belongs to another user, or others may write into it.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError as error:
        raise UserError(f"{key}: cannot use {folder}: {error.strerror}; choose another folder with {key}") from error
    if stat.S_ISLNK(found.st_mode):
        problem = "it is a symbolic link"
    elif not stat.S_ISDIR(found.st_mode):
        problem = "it is a file, not a directory"
    elif found.st_uid != os.geteuid():
        problem = f"it belongs to another user (uid {found.st_uid})"
    elif found.st_mode & 0o022:
        problem = (
            f"others may write into it (mode {stat.S_IMODE(found.st_mode):o}): chmod go-w ends that, or take a folder "
            "inside it"
        )
    else:
        return folder
    raise UserError(f"{key}: cannot use {folder}: {problem}; choose another folder with {key}")


def user_cache(name: str) -> Path:
    """The folder of this name in the user's cache folder, made if it is not there.

    Raises:
        UserError: as `own_folder`, or the user has no home directory.
    """
    try:
        base = Path(os.environ.get(CACHE_KEY) or Path.home() / ".cache")
    except RuntimeError as error:
        raise UserError(f"{CACHE_KEY}: must name a folder, since this user has no home directory") from error
    return own_folder(own_folder(base / "ovseg", CACHE_KEY) / name, CACHE_KEY)


def open_own(path: Path, key: str, flags: int) -> int:
    """A file descriptor of a file in such a folder, made with mode 0600 if `flags` say so; links are not followed.

    Raises:
        UserError: a link, or no regular file, is in its place.
        OSError: as `os.open`.
    """
    if path.is_symlink():
        raise _in_the_way(path, key)
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise _in_the_way(path, key)
    return file


def open_new(path: Path, key: str) -> BinaryIO:
    """A new file to write and read in such a folder, in place of what a killed process left there.

    Raises:
        UserError, OSError: as `open_own`.
    """
    path.unlink(missing_ok=True)
    return os.fdopen(open_own(path, key, os.O_RDWR | os.O_CREAT | os.O_EXCL), "w+b")


@contextlib.contextmanager
def locked(path: Path, key: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock that threads and processes share, or say that another holds it. That of a killed process is free.

    Raises:
        UserError, OSError: as `open_own`.
    """
    file = open_own(path, key, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(file)


def _in_the_way(path: Path, key: str) -> UserError:
    return UserError(
        f"{key}: {path} is no file of this program, but a link or something else: look at what is in {path.parent}, "
        f"and remove it, or choose another folder with {key}"
    )
