"""What can be seen of a thing beside its kind, in worlds with attributes: the pattern on it, and that pattern's colour.

Below it a thing has the colours and the texture of its kind. (Were the whole thing of any colour, a CLIP as small as
the one here would not learn what it is.) The pattern tells nothing of what a thing is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

COLOURS: Mapping[str, tuple[float, float]] = {
    "red": (-0.02, 0.02), "orange": (0.06, 0.09), "yellow": (0.13, 0.16), "green": (0.28, 0.38),
    "turquoise": (0.48, 0.52), "blue": (0.58, 0.65), "purple": (0.75, 0.81), "pink": (0.89, 0.93),
}  # fmt: skip
"""Hues, 0..1."""
PATTERNS = ("striped", "dotted", "checked")
"""Painted in the colour over the texture of a thing."""
_STRIPES, _DOTS, _CHECKS = 1.4, 1.6, 1.6  # of them in a unit of the width of a thing, −1..1


@dataclass(frozen=True)
class Attributes:
    """What a thing looks like."""

    colour: str
    pattern: str

    @property
    def words(self) -> tuple[str, str]:
        """In the order of a phrase: red striped ball."""
        return self.colour, self.pattern


def draw_attributes(rng: np.random.Generator) -> Attributes:
    """Any colour and any pattern."""
    return Attributes(str(rng.choice(list(COLOURS))), str(rng.choice(PATTERNS)))


def paint(pattern: str, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where a pattern is painted, bool, in the coordinates of a thing (u right, v down, −1..1)."""
    shift_u, shift_v = rng.random(2)
    if pattern == "striped":
        return (_STRIPES * (u + v) / np.sqrt(2) + shift_u) % 1 < 0.45
    if pattern == "dotted":
        across, down = ((_DOTS * value + shift) % 1 - 0.5 for value, shift in ((u, shift_u), (v, shift_v)))
        return across**2 + down**2 < 0.37**2
    return (np.floor(_CHECKS * u + shift_u) + np.floor(_CHECKS * v + shift_v)) % 2 == 0


def phrases_among(noun: str, seen: Attributes) -> list[str]:
    """The phrase that is right for a thing, and then the nine that differ from it in one attribute: those of the other
    colours and patterns. So FG-OVD asks (arXiv 2311.17518): the right phrase among ten.
    """
    colours = [Attributes(colour, seen.pattern) for colour in COLOURS if colour != seen.colour]
    patterns = [Attributes(seen.colour, pattern) for pattern in PATTERNS if pattern != seen.pattern]
    return [" ".join((*shown.words, noun)) for shown in (seen, *colours, *patterns)]
