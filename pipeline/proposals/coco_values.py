"""Values of COCO files as people's programs write them: numbers as text, as floats, or not at all."""

import math
import re
from typing import Any

_DECIMALS = re.compile(r"^([+-]?\d+)\.0+$")
_WHOLE = re.compile(r"\s*([+-]?\d{1,18})(?:\.0*)?\s*")


def identifier(value: Any) -> str | None:
    """An id as text, so that 7, 7.0, "7" and "7.0" are the same id; None for what is no id."""
    if isinstance(value, str):
        # Half surrogate pairs, which JSON can hold and UTF-8 cannot, become question marks, as in captions.
        text = value.strip().encode(errors="replace").decode()
        return _DECIMALS.sub(r"\1", text) or None  # zeros in front stay: "01" and "1" are two names
    number = whole(value)
    return None if number is None else str(number)


def whole(value: Any) -> int | None:
    """A whole number, also written as a float or as text; None for anything else."""
    if isinstance(value, str):
        found = _WHOLE.fullmatch(value)
        return int(found[1]) if found else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None  # not of NaN, nor of infinity
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def pixels(value: Any) -> int | None:
    """The side of an image; None where it is unknown, such as -1 or null."""
    number = whole(value)
    return number if number is not None and 1 <= number < 2**31 else None


def number(value: Any) -> float:
    """A coordinate, also written as text.

    Raises:
        TypeError, ValueError, OverflowError: it is none.
    """
    if isinstance(value, bool) or value is None:
        raise TypeError("not a number")
    return float(value)


def flag(value: Any) -> bool | None:
    """Whether a flag such as `iscrowd` is set: "0", 0.0, false, null and an empty text are not; None if unreadable."""
    if isinstance(value, str):
        text = value.strip().lower()
        if text in ("", "false", "no", "none", "null"):
            return False
        if text in ("true", "yes"):
            return True
        try:
            value = float(text)
        except ValueError:
            return None
    if value is None or isinstance(value, bool | int):
        return bool(value)
    if isinstance(value, float):
        return value != 0 and not math.isnan(value)  # pandas writes a missing value as NaN
    return None
