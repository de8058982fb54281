"""Messages of the parser about a key or a value, in the words of a configuration instead of Python's."""

import difflib
import re
from collections.abc import Collection

from jobs.help import readable_type

_UNKNOWN_ARGUMENTS = re.compile(r"[Uu]nrecognized arguments: (.*)")
_UNKNOWN_OPTION = re.compile(r"Group '([^']*)' does not accept option '([^']*)'")
# Of simple types alone: what is wrong inside a section or a list has lines of its own, which stay.
_NONE_OF_SEVERAL = re.compile(
    r"Does not validate against any of the Union subtypes\s+Subtypes: \[([^\n]*)\]\n\s*Errors:\n"
    r"(?:\s*- Expected [^\n]*\n)+\s*Given value type: [^\n]*\n\s*Given value: "
)
_NEAREST = 3


def readable_message(message: str, keys: Collection[str]) -> str:
    """The message of a parser without marks of Python, and with the keys that an unknown one may have been meant for.

    Args:
        keys: all keys of the configuration, dotted: "nouns.min_count".
    """
    message = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", message)
    message = re.sub(r"(?:typing\.)?Literal\[([^\]]*)\]", lambda found: "one of " + found[1].replace("'", ""), message)
    message = re.sub(r"Expected an? ", "Expected ", message)
    message = _NONE_OF_SEVERAL.sub(lambda found: f"Expected {_choice_of_types(found[1])}. Got value: ", message)
    message = re.sub(r"Got value: None\b", "Got value: null", message)
    unknown = [f"{group}.{option}" for group, option in _UNKNOWN_OPTION.findall(message)]
    for arguments in _UNKNOWN_ARGUMENTS.findall(message):
        unknown += [name.partition("=")[0][2:] for name in arguments.split() if name.startswith("--")]
    for key in dict.fromkeys(unknown):
        if near := difflib.get_close_matches(key, keys, _NEAREST):
            message += f"\n{key} is no key; did you mean {' or '.join(near)}?"
    return message


def _choice_of_types(types: str) -> str:
    """In words what a list of types is: "typing.Annotated[int, at least 1], NoneType" is "int at least 1 or null"."""
    return readable_type(types.replace("typing.", "")).replace("NoneType", "null").replace(", ", " or ")
