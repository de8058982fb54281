"""Values of JSON as dataclasses, without trust: whoever wrote the file may be another."""

from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints


def parsed(value: Any, kind: Any, where: str = "") -> Any:
    """A value of JSON as a dataclass, list, or plain value, none of another type and with no key more or less.

    Args:
        kind: a dataclass, `list[…]`, a type, or `… | None` and `… | list[…]`.
        where: the key of the value in a larger one, for messages.

    Raises:
        ValueError: it has another type.
    """
    if isinstance(kind, type) and is_dataclass(kind):
        names = {field.name for field in fields(kind)}
        if not isinstance(value, dict) or value.keys() != names:
            found = sorted(value) if isinstance(value, dict) else type(value).__name__
            raise ValueError(f"{where or 'the file'} has {str(found)[:200]} instead of {sorted(names)}")
        hints = get_type_hints(kind)
        return kind(**{name: parsed(value[name], hints[name], f"{where}.{name}".lstrip(".")) for name in names})
    if get_origin(kind) is list:
        if not isinstance(value, list):
            raise ValueError(f"{where} is no list")
        [inner] = get_args(kind)
        return [parsed(item, inner, f"{where}[{index}]") for index, item in enumerate(value)]
    allowed = get_args(kind) or (kind,)
    if isinstance(value, list) and (lists := [inner for inner in allowed if get_origin(inner) is list]):
        return parsed(value, lists[0], where)
    if float in allowed and type(value) is int:
        return float(value)
    if type(value) not in allowed:
        raise ValueError(f"{where} is {str(value)[:80]!r}")
    return value
