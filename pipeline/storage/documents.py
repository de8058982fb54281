"""JSON and YAML documents, read without trust: they may be another's, or damaged.

What is not as this program writes it is an error that names the file and what was found, never a traceback.
"""

import json
from typing import Any

import yaml

from pipeline.errors import UserError
from pipeline.storage.reading import read_bytes


class DamagedFileError(UserError):
    """A file is not what this program wrote."""


def damaged(uri: str, problem: object) -> DamagedFileError:
    """What to say of a file that is not what it was."""
    return DamagedFileError(f"{uri} is damaged: {str(problem)[:500]}; see python -m jobs.inspect OUTPUT --verify")


def read_json(uri: str) -> dict:
    """A JSON file that holds an object.

    Raises:
        FileNotFoundError: it is not there.
        DamagedFileError: it is something else.
        OSError: storage cannot be read.
    """
    return parse_json(read_bytes(uri), uri)


def parse_json(text: bytes, uri: str) -> dict:
    """The JSON object in a text.

    Args:
        uri: the file that holds it, for the message.

    Raises:
        DamagedFileError: it is something else.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also of a number of thousands of digits
        raise damaged(uri, f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise damaged(uri, f"it holds {type(value).__name__} instead of an object")
    return value


def read_yaml(uri: str) -> Any:
    """What a YAML file holds, whatever that is.

    Raises:
        FileNotFoundError: it is not there.
        DamagedFileError: it is no YAML.
        OSError: storage cannot be read.
    """
    data = read_bytes(uri)
    try:
        return yaml.safe_load(data)
    # Beside its own errors PyYAML lets those of int() and datetime through, and it recurses.
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(uri, f"no YAML: {error}") from error
