"""Outlines of things: whether a point lies inside.

Coordinates u (right) and v (down) are arrays in −1..1; a shape returns a boolean array.
"""

from collections.abc import Callable

import numpy as np

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]


def disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A full circle."""
    return u**2 + v**2 < 0.85


def oval(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """An upright ellipse."""
    return (u / 0.68) ** 2 + (v / 0.95) ** 2 < 1


def square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A square, parallel to the axes."""
    return np.maximum(abs(u), abs(v)) < 0.78


def upright_rectangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A rectangle, higher than wide."""
    return (abs(u) < 0.58) & (abs(v) < 0.9)


def triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A triangle that points up."""
    return (v < 0.8) & (v > 1.9 * abs(u) - 0.9)


def wedge(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A triangle that points down."""
    return triangle(u, -v)


def diamond(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A square on its corner, higher than wide."""
    return 1.25 * abs(u) + abs(v) < 0.97


def ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A circle with a round hole."""
    radius = u**2 + v**2
    return (radius < 0.88) & (radius > 0.2)


def crescent(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A circle that another one on the right is cut out of."""
    return (u**2 + v**2 < 0.88) & ((u - 0.45) ** 2 + v**2 > 0.6)


def star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Five points: between a tip at 0.95 and a notch at 0.42 the outline is straight."""
    tip, notch, half = 0.95, 0.42, np.pi / 5
    angle = abs((np.arctan2(u, -v) + half) % (2 * half) - half)
    radius = np.hypot(u, v)
    # The chord from (tip, 0) to (notch, half) in polar coordinates.
    edge = tip * notch * np.sin(half) / (tip * np.sin(angle) + notch * np.sin(half - angle))
    return radius < edge


def heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A heart, its point down."""
    x, y = 1.2 * u, 0.1 - 1.15 * v
    return (x**2 + y**2 - 0.55) ** 3 < 1.2 * x**2 * y**3


def gabled(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Walls under a pointed roof."""
    walls = (abs(u) < 0.68) & (v > -0.15) & (v < 0.88)
    return walls | ((v <= -0.15) & (v > 0.85 * abs(u) - 0.95))


def blossom(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A round flower with six petals."""
    return np.hypot(u, v) < 0.68 + 0.26 * np.cos(6 * np.arctan2(v, u))


def fir(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A pointed crown on a short trunk."""
    trunk = (abs(u) < 0.14) & (v > 0.4) & (v < 0.95)
    return trunk | ((v <= 0.45) & (v > 1.8 * abs(u) - 0.95))


def cap_on_stem(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The upper half of an ellipse on a narrow stem."""
    cap = (u**2 / 0.85 + (v - 0.05) ** 2 / 0.9 < 1) & (v < 0.05)
    return cap | ((abs(u) < 0.16) & (v >= 0.05) & (v < 0.93))


def swimmer(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """An oval body and a tail fin to the right."""
    body = ((u + 0.2) / 0.72) ** 2 + (v / 0.5) ** 2 < 1
    return body | ((u > 0.35) & (u < 0.95) & (abs(v) < 0.85 * (u - 0.25)))


def sailing(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A hull with one sail, right of its mast."""
    hull = (v > 0.3) & (v < 0.8) & (abs(u) < 1.15 - 0.6 * v)
    return hull | ((v <= 0.2) & (v > -0.95) & (u > -0.05) & (u < 0.75 * (v + 0.95)))


def necked(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A broad body with a narrow neck."""
    body = (abs(u) < 0.48) & (v > -0.2) & (v < 0.93)
    return body | ((abs(u) < 0.18) & (v > -0.95) & (v <= -0.2))


def winged(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Narrow in the middle, wide at both sides."""
    return (abs(u) < 0.95) & (abs(v) < np.minimum(0.2 + 0.75 * abs(u), 0.85))
