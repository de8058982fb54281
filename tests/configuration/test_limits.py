"""Limits and markers beside the fields of a configuration."""

from dataclasses import dataclass, field
from typing import Annotated

import annotated_types
import pytest

from pipeline.configuration.limits import Limit, check
from pipeline.configuration.markers import AbsentMeans, LocalPath, Running, absent_keys, running_keys
from pipeline.errors import UserError


@dataclass
class Inner:
    """A section."""

    count: Annotated[int, Limit(ge=1), Running] = 3
    share: Annotated[float, Limit(gt=0, le=1)] | None = None
    scales: list[Annotated[float, Limit(gt=0)]] | None = None
    foreign: Annotated[int, annotated_types.Lt(10_000)] = 0
    newer: Annotated[bool, AbsentMeans(False)] = True


@dataclass
class Outer:
    """A configuration."""

    output: Annotated[str, Running, LocalPath.OUTPUT] = "x"
    inner: Inner = field(default_factory=Inner)
    inners: list[Inner] = field(default_factory=list)
    maybe: Inner | None = None
    running: Annotated[Inner, Running] = field(default_factory=Inner)
    newest: Annotated[int | None, AbsentMeans(None), Limit(ge=1)] = 1


def test_values_within_their_limits_pass():
    """Also None where a number is optional."""
    check(Outer(inner=Inner(count=1, share=1, scales=[0.1, 5]), inners=[Inner()], maybe=Inner(share=None)))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Outer(inner=Inner(count=0)), "inner.count is 0; it must be at least 1"),
        (Outer(inner=Inner(share=0)), "inner.share is 0; it must be above 0 and at most 1"),
        (Outer(inner=Inner(share=1.5)), "inner.share is 1.5; it must be above 0 and at most 1"),
        (Outer(inner=Inner(share=float("nan"))), "inner.share is nan; it must be above 0 and at most 1"),
        (Outer(inner=Inner(scales=[1, -1])), r"inner.scales\[1\] is -1; it must be above 0"),
        (Outer(inner=Inner(foreign=10_000)), "inner.foreign is 10000; it must be below 10_000"),
        (Outer(inner=Inner(count="3")), "inner.count is '3'; it must be at least 1"),
        (Outer(inner=Inner(count=True)), "inner.count is True; it must be at least 1"),
        (Outer(inners=[Inner(), Inner(count=-1)]), r"inners\[1\].count is -1; it must be at least 1"),
        (Outer(maybe=Inner(count=-1)), "maybe.count is -1; it must be at least 1"),
        (Outer(running=Inner(count=-1)), "running.count is -1; it must be at least 1"),
    ],
    ids=[
        "int", "zero_share", "share", "nan", "in_a_list", "annotated_types", "text", "bool", "in_a_list_of_sections",
        "optional_section", "marked_section",
    ],
)  # fmt: skip
def test_values_outside_are_named(config, message):
    """The key, what was found, and what is allowed."""
    with pytest.raises(UserError, match=f"^{message}$"):
        check(config)


def test_prefix():
    """A section that is checked by itself is named as in the whole."""
    with pytest.raises(UserError, match=r"^serve\.count is 0; "):
        check(Inner(count=0), "serve")


def test_running_keys():
    """A marked section stands for all of its keys."""
    assert running_keys(Outer) == ("output", "inner.count", "running")


def test_absent_keys():
    """Those of sections too, whatever their defaults are now."""
    assert absent_keys(Outer) == {"inner.newer": False, "running.newer": False, "newest": None}
