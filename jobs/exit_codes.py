"""What a job's exit code says, and the one path on which an exception becomes a message and a code.

| code | means |
|---|---|
| 0 | complete |
| 1 | incomplete: storage, machines or Ray failed; what is done is kept |
| 2 | the user has to change something: the message names the key or the file |
| 130 | interrupted |

Every other exception is a bug, and shows its traceback. (Python ends with 1 then.)
"""

import contextlib
import io
import signal
import sys
from collections.abc import Callable, Iterator

from pipeline.errors import IncompleteError, UserError, storage_failure, told_of
from pipeline.escaping.terminal import printable

OK, INCOMPLETE, USER_ERROR, INTERRUPTED = 0, 1, 2, 130


def exit_code(work: Callable[[], int | None], *, advice: str = "the same command carries on from here") -> int:
    """Do the work of a job; what ends it early is said on stderr. SIGTERM interrupts it as Ctrl-C does.

    Args:
        work: returns the exit code, None for 0.
        advice: what to do after an interruption, or when storage is there again.

    Returns:
        the exit code.

    Raises:
        SystemExit: the command line is wrong.
        Exception: a bug.
    """
    _show_any_name()
    try:
        with interrupted_by_sigterm():
            return work() or OK
    except (Exception, KeyboardInterrupt) as error:
        if (end := _end(error, advice)) is None:
            raise
        message, code = end
        print(message, file=sys.stderr)
        return code


def _end(error: BaseException, advice: str) -> tuple[str, int] | None:
    """Message and exit code; None for a bug."""
    # Whoever raised a Ray exception has imported Ray; a job without it does without those seconds.
    ray, raised = sys.modules.get("ray.exceptions"), error
    while ray and isinstance(error, ray.RayTaskError):  # what a worker raised; Ray adds the worker's traceback
        error = error.cause
    if ray and isinstance(error, ray.UserCodeException):  # Ray Data's, which stands for what a worker raised
        if (failed := storage_failure(str(raised))) is None:
            return None
        return printable(f"incomplete: {failed}; {advice}"), INCOMPLETE
    if isinstance(error, UserError):
        return f"error: {error}", USER_ERROR
    if isinstance(error, IncompleteError):
        return f"incomplete: {error}", INCOMPLETE
    if isinstance(error, OSError):
        return printable(f"incomplete: storage failed: {error}; {advice}"), INCOMPLETE
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted; {advice}", INTERRUPTED
    if ray and isinstance(error, ray.RayError):
        return f"incomplete: Ray failed: {told_of(str(error))}\n{advice[0].upper()}{advice[1:]}", INCOMPLETE
    return None


@contextlib.contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """`ray job stop` and schedulers send SIGTERM: it raises KeyboardInterrupt while the context is open."""
    handler = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _show_any_name() -> None:
    """Let names of files that are not UTF-8 be printed, with what is odd in them as `\\udcff`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
