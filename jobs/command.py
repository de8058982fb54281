"""The command line of a job: its configuration, and its other arguments."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn

from jsonargparse import ArgumentParser

from jobs.backend_options import moved_keys, options_help, with_moved_keys
from jobs.exit_codes import exit_code
from jobs.help import JobHelp
from jobs.parser_messages import readable_message
from pipeline.configuration import limits
from pipeline.configuration.paths import refuse_secrets, refuse_secrets_in

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class _Parser(ArgumentParser):
    """Shows the options of the proposal backends that the command line names, and says where old keys of them went."""

    arguments: list[str] = []  # noqa: RUF012

    def format_help(self, *arguments: Any, **named: Any) -> str:  # newer jsonargparse takes a formatter, older nothing
        return super().format_help(*arguments, **named) + options_help(self.arguments)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        keys = [action.dest for action in self._actions]
        super().error(readable_message(message, keys) + moved_keys(message), ex)


class Command:
    """A job's command line: `--config file.yaml`, and `--any.key value` for every field of the configuration."""

    def __init__(self, name: str, description: str, config_class: "type[DataclassInstance]"):
        self._config_class = config_class
        self.parser = _Parser(
            prog=f"python -m {name}",
            usage="%(prog)s [--config FILE] [--KEY VALUE …]",
            description=description,
            formatter_class=JobHelp,
        )
        self.parser.add_argument(
            "--config",
            action="config",
            help="YAML file with any of the keys below. Where their texts say empty or unset, write null, or [] for a "
            "list.",
        )
        self.parser.add_class_arguments(config_class)

    def parse(self, arguments: list[str] | None) -> tuple[Any, dict]:
        """The configuration, and the other arguments by name. Nothing of them has been shown or written yet.

        Raises:
            SystemExit: a key or value is wrong.
            UserError: a number is outside its limits, or a value contains a secret.
        """
        self.parser.arguments = with_moved_keys(sys.argv[1:] if arguments is None else arguments)
        parsed = self.parser.instantiate(self.parser.parse_args(self.parser.arguments)).as_dict()
        config = self._config_class(**{field.name: parsed.pop(field.name) for field in fields(self._config_class)})
        limits.check(config)
        refuse_secrets_in(config)
        refuse_secrets_in(parsed)
        return config, parsed

    def run(self, work: Callable[[Any, dict], None], arguments: list[str] | None) -> int:
        """Parse, connect to Ray, and call `work(config, flags)`. Returns the exit code."""

        def parse_and_work() -> None:
            config, flags = self.parse(arguments)
            from jobs.ray_connection import work_on_ray  # only now: Ray takes a while to import

            work_on_ray(lambda: work(config, flags))

        return exit_code(parse_and_work)


def parse_arguments(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The arguments of a job without a configuration.

    Raises:
        SystemExit: one is wrong.
        UserError: one contains a secret.
    """
    given = sys.argv[1:] if arguments is None else arguments
    # As they were typed: a Path makes "s3:/" of "s3://".
    option = None
    for index, argument in enumerate(given, start=1):
        name, _, value = argument.partition("=")
        if argument.startswith("-"):
            refuse_secrets(name, value)
        else:
            refuse_secrets(option or f"argument {index}", argument)
        option = argument if argument.startswith("-") else None
    return parser.parse_args(given)
