"""Exceptions that a job's command line turns into a message, and what it says of a worker's traceback."""

import builtins
import re

from pipeline.escaping.terminal import printable


class UserError(Exception):
    """A mistake in configuration, input or environment that the user can mend.

    The message names the configuration key or the file, says what was found, and what to do. What it quotes from data
    cannot steer a terminal.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class IncompleteError(Exception):
    """The job ended before its work was done; what is done is kept, and the same command carries on from there."""

    def __str__(self) -> str:
        return printable(super().__str__())


# The line of an exception comes after that of the code that raised it, which is indented.
_RAISED = re.compile(r"^ .*\n(\w+): (.*)", re.MULTILINE)


def storage_failure(trace: str) -> str | None:
    """What failed, if a worker's traceback ends with an OSError; exceptions of workers often come as text alone."""
    if raised := _RAISED.findall(trace):
        name, message = raised[-1]
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, OSError):
            return f"storage failed: {message}"
    return None


def told_of(trace: str) -> str:
    """What a message says of a worker's traceback: one line if storage failed, all of it otherwise."""
    return storage_failure(trace) or trace
