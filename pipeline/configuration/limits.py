"""Limits of numbers in a configuration, written beside the field that they are about, and the one check of them.

    @dataclass
    class ShardsConfig:
        images_per_shard: Annotated[int, Limit(ge=1)] = 256
        max_share: Annotated[float, Limit(gt=0, le=1)] | None = None
        scales: list[Annotated[float, Limit(gt=0)]] = field(default_factory=list)

`jobs.command` calls `check` on what was read from YAML and the command line, the jobs' functions on what they are given
from Python, so every way in gives the same message. The markers of `annotated_types` (`Ge(1)`, `Interval(gt=0, le=1)`)
are understood, too; jsonargparse hands those to pydantic first, whose messages say less, and which takes `true` for 1.
A rule about several fields is no limit: it stays code.
"""

import numbers
import types
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pipeline.errors import UserError

_WORDS = {
    "ge": ("at least", lambda value, bound: value >= bound),
    "gt": ("above", lambda value, bound: value > bound),
    "le": ("at most", lambda value, bound: value <= bound),
    "lt": ("below", lambda value, bound: value < bound),
}


@dataclass(frozen=True, repr=False)
class Limit:
    """What a number may be; in `Annotated`, at the number itself: `Annotated[int, Limit(ge=1)] | None`."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __repr__(self) -> str:
        """In words, as messages and `--help` show it: "above 0 and at most 1"."""
        return _allowed([self])


def check(config: Any, prefix: str = "") -> None:
    """Check every number in a configuration against its limits.

    Args:
        config: a dataclass; dataclasses in it, in its lists and in its optional fields are checked, too.
        prefix: the key of this configuration in a larger one: "serve".

    Raises:
        UserError: naming the dotted key of the first that breaks one, what was found, and what is allowed.
    """
    hints = get_type_hints(type(config), include_extras=True)
    for field in fields(config):
        key = f"{prefix}.{field.name}" if prefix else field.name
        _check_value(getattr(config, field.name), hints[field.name], key)


def _check_value(value: Any, hint: Any, key: str) -> None:
    if is_dataclass(value) and not isinstance(value, type):
        check(value, key)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            for inner in get_args(_bare(hint)) or (Any,):
                _check_value(item, inner, f"{key}[{index}]")
    elif value is not None and (limits := limits_of(hint)) and not _fits(value, limits):
        raise UserError(f"{key} is {value!r}; it must be {_allowed(limits)}")


def limits_of(hint: Any) -> list[Any]:
    """The limits in the annotation of a number, which may be optional."""
    if get_origin(hint) in (Union, types.UnionType):
        return [limit for inner in get_args(hint) for limit in limits_of(inner)]
    if get_origin(hint) is not Annotated:
        return []
    found = [mark for mark in hint.__metadata__ if any(getattr(mark, name, None) is not None for name in _WORDS)]
    return limits_of(hint.__origin__) + found


def _bare(hint: Any) -> Any:
    """A type without what `Annotated` and `| None` add to it."""
    if get_origin(hint) is Annotated:
        return _bare(hint.__origin__)
    if get_origin(hint) in (Union, types.UnionType):
        inner = [_bare(inner) for inner in get_args(hint) if inner is not type(None)]
        return next((kind for kind in inner if get_origin(kind) in (list, tuple)), inner[0])
    return hint


def _bounds(limits: list[Any]) -> list[tuple[str, float]]:
    found = [(name, getattr(limit, name, None)) for limit in limits for name in _WORDS]
    return [(name, bound) for name, bound in found if bound is not None]


def _fits(value: Any, limits: list[Any]) -> bool:
    """Whether a value is a number within the limits; .nan is within none."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and all(_WORDS[name][1](value, bound) for name, bound in _bounds(limits))


def _allowed(limits: list[Any]) -> str:
    return " and ".join(f"{_WORDS[name][0]} {bound:,}".replace(",", "_") for name, bound in _bounds(limits))
