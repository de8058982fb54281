"""The steps of a chain, by name and in their order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

StepName = Literal["mine", "train", "evaluate", "report"]
STEPS: tuple[StepName, ...] = ("mine", "train", "evaluate", "report")


@dataclass(frozen=True)
class ChainStep:
    """One job of a chain."""

    name: StepName
    section: str
    """Of the configuration."""
    output: str
    run: Callable[[bool], dict]
    """Does what is left of it, and returns its result; the argument: delete what is there first."""
