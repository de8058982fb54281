"""The elements of the lists in a large JSON object, one at a time."""

import json
import re
from collections.abc import Iterator
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")


def json_records(text: str) -> Iterator[tuple[str, int, Any]]:
    """Key, index and element of each list at the top level of the JSON object `text`.

    In memory at a time are the text and one element: `json.loads` turns a file of the size of COCO's
    instances_train2017.json (448 MB) into 1.9 GB of Python objects. Values that are not lists are
    checked and passed over. Integers of 1,000 digits or more may come as text.

    Raises:
        json.JSONDecodeError: the text is not a JSON object. Elements before the error have been
            given by then.
    """
    cursor = _Cursor(text)
    cursor.take("{")
    if cursor.peek() == "}":
        cursor.take("}")
    else:
        separator = ","
        while separator == ",":
            if cursor.peek() != '"':
                raise cursor.error("Expecting property name enclosed in double quotes")
            key = cursor.value()
            cursor.take(":")
            if cursor.peek() == "[":
                for index, element in enumerate(cursor.elements()):
                    yield key, index, element
            else:
                cursor.value()
            separator = cursor.take(",}")
    if cursor.peek():
        raise cursor.error("Extra data")


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < 1000 else digits


# Slower: it calls a function for each integer.
_PATIENT = json.JSONDecoder(parse_int=_integer)


class _Cursor:
    """A position in JSON text. White space before what is read is skipped."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._decode = json.JSONDecoder().raw_decode

    def error(self, message: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(message, self._text, self._position)

    def peek(self) -> str:
        """The next character, which stays; empty at the end."""
        space = _SPACE.match(self._text, self._position)
        assert space is not None  # none at all matches, too
        self._position = space.end()
        return self._text[self._position : self._position + 1]

    def take(self, expected: str) -> str:
        """The next character, which must be one of `expected`."""
        character = self.peek()
        if not character or character not in expected:
            raise self.error(f"Expecting {' or '.join(map(repr, expected))}")
        self._position += 1
        return character

    def value(self) -> Any:
        self.peek()
        try:
            value, self._position = self._decode(self._text, self._position)
        except json.JSONDecodeError:
            raise
        except ValueError:  # an integer of thousands of digits, which Python refuses to read
            value, self._position = _PATIENT.raw_decode(self._text, self._position)
        return value

    def elements(self) -> Iterator[Any]:
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        separator = ","
        while separator == ",":
            yield self.value()
            separator = self.take(",]")
