"""What every job does around its work: configuration, Ray, error messages, exit codes."""

import argparse
import io
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import ray
from jsonargparse import ArgumentParser
from ray.exceptions import RayError, RayTaskError

from jobs.head_watch import head_watch
from pipeline.configuration.paths import refuse_secrets, refuse_secrets_in
from pipeline.errors import IncompleteError, UserError
from pipeline.escaping.terminal import printable

OK, INCOMPLETE, USER_ERROR, INTERRUPTED = 0, 1, 2, 130


class Command:
    """A job's command line: `--config file.yaml`, and `--any.key value` for every field of the configuration."""

    def __init__(self, name: str, description: str, config_class: type):
        self._config_class = config_class
        self.parser = ArgumentParser(prog=f"python -m {name}", description=description)
        self.parser.add_argument("--config", action="config", help="YAML file with any of the keys below")
        self.parser.add_class_arguments(config_class)

    def parse(self, arguments: list[str] | None) -> tuple[Any, dict]:
        """The configuration, and the other arguments by name. Nothing of them has been shown or written yet.

        Raises:
            SystemExit: a key or value is wrong.
            UserError: a value contains a secret.
        """
        parsed = self.parser.instantiate(self.parser.parse_args(arguments)).as_dict()
        fields = {name: parsed.pop(name) for name in self._config_class.__dataclass_fields__}
        config = self._config_class(**fields)
        refuse_secrets_in(config)
        refuse_secrets_in(parsed)
        return config, parsed

    def run(self, work: Callable[[Any, dict], None], arguments: list[str] | None) -> int:
        """Parse, connect to Ray, and call `work(config, flags)`. Gives the exit code."""
        try:
            config, flags = self.parse(arguments)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return USER_ERROR
        return guarded(lambda: work(config, flags))


def parse_arguments(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The arguments of a job without a configuration.

    Raises:
        SystemExit: one is wrong, or contains a secret.
    """
    _show_any_name()
    given = sys.argv[1:] if arguments is None else arguments
    # As they were typed: a Path makes "s3:/" of "s3://".
    option = None
    try:
        for place, argument in enumerate(given, start=1):
            name, _, value = argument.partition("=")
            if argument.startswith("-"):
                refuse_secrets(name, value)
            else:
                refuse_secrets(option or f"argument {place}", argument)
            option = argument if argument.startswith("-") else None
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(USER_ERROR) from None
    return parser.parse_args(given)


def guarded(work: Callable[[], None]) -> int:
    """Connect to Ray and do the work; errors that the user can mend become a message. Gives the exit code."""
    _show_any_name()
    try:
        connect()
        # `ray job stop` and schedulers send it. Only now: `ray.init` sets a handler of its own.
        handler = signal.signal(signal.SIGTERM, _interrupt)
        try:
            with head_watch():
                work()
        finally:
            signal.signal(signal.SIGTERM, handler)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except IncompleteError as error:
        print(f"incomplete: {error}", file=sys.stderr)
        return INCOMPLETE
    except OSError as error:
        print(printable(f"incomplete: storage failed: {error}; the same command carries on from here"), file=sys.stderr)
        return INCOMPLETE
    except RayError as error:
        cause = error.cause if isinstance(error, RayTaskError) else error
        if not isinstance(cause, RayError):  # an exception of a worker's own, which is for its traceback to tell
            raise
        print(f"incomplete: Ray failed: {cause}\nThe same command carries on from here", file=sys.stderr)
        return INCOMPLETE
    except KeyboardInterrupt:
        print("interrupted; the same command carries on from here", file=sys.stderr)
        return INTERRUPTED
    return OK


def connect() -> None:
    """Connect to the cluster that RAY_ADDRESS names (`ray job submit` sets it), or start Ray on this machine.

    A cluster that merely happens to run here is left alone: it may belong to another job and end with it.
    """
    if ray.is_initialized():
        return
    options = {"log_to_driver": False, "logging_level": logging.WARNING}
    address = os.environ.get("RAY_ADDRESS")
    if address:
        ray.init(address=address, **options)
    else:
        # The stages of mining hold two logical CPUs together, so one core counts as two.
        ray.init(address="local", num_cpus=max(2, os.cpu_count() or 1), include_dashboard=False, **options)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    # It would tell how to turn on the bars that `pipeline.execution.progress` stands in for.
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)


def _show_any_name() -> None:
    """Let names of files that are not UTF-8 be printed, with what is odd in them as `\\udcff`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
