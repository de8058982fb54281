"""The options of a proposal backend: a mapping in a job's configuration, a dataclass of the backend's own in its hands.

The backend's class names the dataclass as `options_class`; see `Proposer`.
"""

import difflib
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentError, ArgumentParser

from pipeline.configuration import limits
from pipeline.configuration.markers import absent_keys
from pipeline.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

KEY = "proposals.options"
_NEAREST = 3

Options = TypeVar("Options", bound="DataclassInstance")
OptionValue = str | bool | int | float | list | dict | None
"""What an option can be. Text comes first: what the command line gives stays text until the type of the option, which
only the backend knows, says what it is."""


@dataclass
class NoOptions:
    """Of a backend that has none."""


def read_options(kind: type[Options], given: Mapping[str, Any], backend: str) -> Options:
    """The options of a backend, with its defaults for those that are not given.

    Args:
        kind: the backend's dataclass.
        given: values as a YAML file or the command line has them: `"3"` is a number where a number is wanted.
        backend: its name, for messages.

    Raises:
        UserError: naming the key of an option that the backend does not have, of one that is missing, and of a value
            that is of another type or outside its limits.
    """
    known = {field.name: field for field in fields(kind)}
    for name in given:
        if name not in known:
            raise UserError(f"{KEY}.{name}: the backend {backend} has no such option{nearest(name, list(known))}")
    for name, field in known.items():
        if name not in given and field.default is MISSING and field.default_factory is MISSING:
            raise UserError(f"{KEY}.{name} is missing: the backend {backend} cannot do without it")
    hints = get_type_hints(kind)
    options = kind(**{name: _read(name, value, hints[name]) for name, value in given.items()})
    limits.check(options, KEY)
    return options


def plain(options: Any) -> dict[str, OptionValue]:
    """The mapping that `read_options` makes the same options of; what config.yaml and a fingerprint hold.

    Options that are newer than outputs (`AbsentMeans`) are left out where they have the value that this means: outputs
    of before carry on.
    """
    absent = absent_keys(type(options))
    return {name: value for name, value in asdict(options).items() if name not in absent or value != absent[name]}


def _read(name: str, value: Any, hint: Any) -> Any:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{name}", type=hint)
    try:
        read = parser.instantiate(parser.parse_object({name: value}))[name]
    except ArgumentError as error:
        raise _wrong_type(name, value, hint) from error
    if read is None and not _may_be_null(hint):  # the parser takes null for "not given"
        raise _wrong_type(name, value, hint)
    return read


def _may_be_null(hint: Any) -> bool:
    union = get_origin(hint) in (Union, types.UnionType)
    return hint in (None, type(None), Any) or (union and any(map(_may_be_null, get_args(hint))))


def _wrong_type(name: str, value: Any, hint: Any) -> UserError:
    plain_type = isinstance(hint, type) and not hasattr(hint, "__args__")
    wanted = hint.__name__ if plain_type else str(hint).replace("None", "null").replace(" | ", " or ")
    found = "null" if value is None else repr(value)
    return UserError(f"{KEY}.{name}: {found} is not of the type of this option, {wanted}")


def nearest(name: str, known: list[str]) -> str:
    """How an unknown name may have been meant: ", did you mean …?", or all names there are."""
    if near := difflib.get_close_matches(name, known, _NEAREST):
        return f"; did you mean {' or '.join(near)}?"
    return f"; it has {', '.join(known)}" if known else "; it has none at all"
