"""The steps of a chain, by name and in their order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

StepName = Literal["mine", "train", "rounds", "evaluate", "report"]
STEPS: tuple[StepName, ...] = ("mine", "train", "rounds", "evaluate", "report")

Part = Literal["mine", "quality", "train", "evaluate", "held out", "rounds", "report"]
"""What a step does: several of them make a round."""


@dataclass(frozen=True)
class ChainStep:
    """One job of a chain, or one piece of work between jobs."""

    name: StepName
    section: str
    """Of the configuration, and of which round."""
    output: str
    run: Callable[[bool], dict]
    """Does what is left of it, and returns its result; the argument: delete what is there first."""
    part: Part
