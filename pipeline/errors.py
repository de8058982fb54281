"""The one exception type that means "the user can fix this"."""


class UserError(Exception):
    """A wrong configuration, path, credential or input file.

    The message names the configuration key or the file, says what was found there and what to do about it.
    The jobs print the message without a traceback and exit with status 2.
    """
