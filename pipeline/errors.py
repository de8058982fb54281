"""Exceptions that a job's command line turns into a message."""

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
