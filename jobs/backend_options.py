"""What the command line of every job says of proposal backends: their options in `--help`, and where old keys went."""

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

import docstring_parser
import yaml
from jsonargparse import ArgumentParser

from jobs.help import JobHelp
from pipeline.configuration.limits import limits_of
from pipeline.proposals.backends import BACKENDS, find_backend, options_class

_NAMED = re.compile(r"(?P<section>(?:.*\.)?proposals)\.backend(?P<several>s\[\d+\])?")
_MOVED = re.compile(rf"((?:[\w.]*\.)?proposals)(?:\.|' does not accept option ')({'|'.join(BACKENDS)})\.(\w+)")
_OLD_ARGUMENT = re.compile(rf"--((?:[\w.]*\.)?proposals)\.({'|'.join(BACKENDS)})\.(\w+)(?==|$)")
_ONE_OF_SEVERAL = re.compile(rf"--((?:[\w.]*\.)?proposals\.options)\.({'|'.join(BACKENDS)})\.(\w+)(?==|$)")
_RENAMED = {("detectron2", "options"): "changes"}


def options_help(arguments: Sequence[str]) -> str:
    """The options of all backends that a command line names, itself or in its YAML files, as `--help` shows them.

    Raises:
        UserError: there is no such backend.
    """
    named = {}
    for key, value in _values(arguments):
        if (found := _NAMED.fullmatch(key)) and isinstance(value, str):
            options = f"{found['section']}.options"
            named[key] = f"{options}.{value}" if found["several"] else options, value
    return "".join(_help(options, backend) for _, (options, backend) in sorted(named.items(), key=str))


def with_moved_keys(arguments: Sequence[str]) -> list[str]:
    """A command line in which keys of earlier versions (`--proposals.sam2.weights`) have their present names, and
    options of one of several backends the form that does not replace its other options (`ProposalsConfig.each`).
    """
    moved = [_OLD_ARGUMENT.sub(lambda old: f"--{old[1]}.options.{_new_name(old[2], old[3])}", one) for one in arguments]
    return [_ONE_OF_SEVERAL.sub(r"--\1.\2/\3", one) for one in moved]


def moved_keys(message: str) -> str:
    """What to add to an error message about keys that earlier versions had, a line for each; nothing if it says so."""
    lines = []
    for section, backend, option in _MOVED.findall(message):
        new = f"{section}.options.{_new_name(backend, option)}"
        line = f"\n{section}.{backend}.{option} is now {new}, with {section}.backend: {backend}"
        if line.strip() not in message and line not in lines:
            lines.append(line)
    return "".join(lines)


def _new_name(backend: str, option: str) -> str:
    return _RENAMED.get((backend, option), option)


def _help(key: str, backend: str) -> str:
    kind = options_class(find_backend(backend))
    described = docstring_parser.parse_from_object(kind)
    said = "" if (described.description or "").startswith(f"{kind.__name__}(") else described.description  # generated
    texts = {attribute.arg_name: attribute.description for attribute in described.params}
    hints, plain = get_type_hints(kind, include_extras=True), get_type_hints(kind)
    parser = ArgumentParser(usage=argparse.SUPPRESS, add_help=False, formatter_class=JobHelp)
    group = parser.add_argument_group(f"Options of the backend {backend}", said if fields(kind) else "It has none.")
    for field in fields(kind):
        text = " ".join((texts.get(field.name) or "").split())
        if limits := limits_of(hints[field.name]):
            text = f"{text} Allowed: {' and '.join(map(repr, limits))}."
        required = field.default is MISSING and field.default_factory is MISSING
        default = field.default if field.default_factory is MISSING else field.default_factory()
        action = group.add_argument(
            f"--{key}.{field.name}",
            type=plain[field.name],
            help=text.strip(),
            metavar="VALUE",
            **({"required": True} if required else {"default": default}),
        )
        action.option_strings = action.option_strings[:1]  # a mapping has no "+=" to append to a list
    return "\n" + parser.format_help().strip("\n") + "\n"


def _values(arguments: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Every key and value that a command line sets, with those of the files that it names; the later ones count."""
    for index, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option.startswith("--") and (equals or index + 1 < len(arguments)):
            key = option.removeprefix("--")
            yield from _inside("" if key == "config" else key, value if equals else arguments[index + 1], Path())


def _inside(key: str, value: Any, folder: Path) -> Iterator[tuple[str, Any]]:
    if isinstance(value, str) and (value.endswith((".yaml", ".yml")) or value.startswith(("{", "["))):
        path = folder / os.path.expanduser(value)
        try:
            loaded = yaml.safe_load(value if value[0] in "{[" else path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):  # for the parser to tell
            return
        yield from _inside(key, loaded, path.parent)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _inside(f"{key}.{name}" if key else str(name), inner, folder)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _inside(f"{key}[{index}]", inner, folder)
    else:
        yield key, value
