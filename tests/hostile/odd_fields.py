"""JSON documents with odd values in odd places."""

import copy
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Texts that stand for what `json.dumps` cannot write.
_MANY_DIGITS, _DEEP, _TOO_LARGE, _HALF = "@many digits@", "@deep@", "@too large@", "@half a character@"
_WRITTEN = {
    _MANY_DIGITS: "9" * 5000,
    _DEEP: "[" * 50_000 + "]" * 50_000,
    _TOO_LARGE: "1e999",
    _HALF: r'"\ud83d"',
}
BREAKING = (_MANY_DIGITS, _DEEP)
"""For these a whole file may be refused: a parser need not take any length and depth."""

_NUMBERS = [
    0,
    -1,
    1,
    2,
    3,
    257,
    1.0,
    2.0,
    1.5,
    -0.0,
    1e300,
    2**31,
    2**63,
    -(2**63) - 1,
    10**30,
    *map(float, ("nan", "inf", "-inf")),
]
_TEXTS = [
    "", " ", "0", "1", "2", "1.0", "01", "-1", "NaN", "true", "é", "e\u0301", "\u200b", "\ufeff", "\x00", "a\x00b",
    "\n", "../../victim", "/etc/passwd", "a/../b.png", "a\\b.png", "::", "s3://", "zip://a::b.zip", "ftp://host/a.jpg",
    "reference://a.jpg::http://127.0.0.1:9/ref.json", "[/]", "%s{}", "x" * 10_000,
]  # fmt: skip
_OTHERS = [
    None, True, False, [], [1], ["a"], [None], [{}], [[]], {}, {"id": 1}, {"bytes": None},
    [[1, 2]], [[1, 2, 3, 4]], [[0, 0, 8, 0, 8, 8, 0, 8]], [0, 0, 8, 0, 8, 8, 0, 8], [["0", "0", "8", "0", "8", "8"]],
    [[float("nan")] * 6], [[1e300] * 6], [[0, 0, 8, 0, 8]],
    {"size": [24, 32], "counts": "0"}, {"size": [24, 32], "counts": [768]}, {"size": [24, 32], "counts": [-1, 769]},
    {"size": [2**31, 2**31], "counts": [2**62]}, {"size": None, "counts": None}, {"size": [24, 32], "counts": "é"},
]  # fmt: skip
ODD = [*_NUMBERS, *_TEXTS, *_OTHERS, *_WRITTEN]
"""Values of every type of JSON, as other people's programs write them and as nobody does."""


@dataclass(frozen=True)
class Disturbance:
    """One value that is not what it was."""

    path: tuple[str | int, ...]
    """Keys and places that lead to it."""
    what: str
    """For the message of a failure."""
    breaking: bool
    """See `BREAKING`."""


def disturb(document: dict, rng: random.Random) -> Disturbance:
    """Replace, remove or double one value anywhere in a document."""
    container, path = rng.choice(list(_places(document, ())))
    key, old = path[-1], _short(container[path[-1]])
    what = rng.choice(["replaced", "replaced", "replaced", "removed", "doubled"])
    value: Any = None
    if what == "doubled" and isinstance(container, list):
        container.insert(rng.randrange(len(container) + 1), copy.deepcopy(container[key]))
    elif what == "removed":
        del container[key]
    else:
        value = container[key] = copy.deepcopy(rng.choice(ODD))
        what = f"replaced by {_short(value)}"
    return Disturbance(path, f"{path} {old} {what}", isinstance(value, str) and value in BREAKING)


def written(document: dict, rng: random.Random) -> bytes:
    """The document as a file, now and then with a byte order mark, in UTF-16, or cut off."""
    text = json.dumps(document, ensure_ascii=rng.random() < 0.5)
    for name, meant in _WRITTEN.items():
        text = text.replace(json.dumps(name), meant)
    data = text.encode("utf-8", "surrogatepass")
    how = rng.random()
    if how < 0.05:
        return b"\xef\xbb\xbf" + data
    if how < 0.07:
        return text.encode("utf-16", "surrogatepass")
    if how < 0.1:
        return data[: rng.randrange(len(data))]
    return data


def text_id(value: Any) -> str | None:
    """An id as text, so that 1, 1.0, "1" and "1.0" are one; None for what is no id."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return str(value).strip()
    if not math.isfinite(number):
        return None
    return str(value) if isinstance(value, int) else str(int(number)) if number.is_integer() else str(number)


def intact(records: Any, original: dict) -> bool:
    """Whether a list still holds a record as it was."""
    return isinstance(records, list) and json.dumps(original) in map(json.dumps, records)


def _places(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[Any, tuple[str | int, ...]]]:
    """Every place for a value: the container, and the path to the place."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, (*path, key)
        yield from _places(value[key], (*path, key))


def _short(value: Any) -> str:
    return f"{value!r:.120}"
