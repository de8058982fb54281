"""Textures: the share of the second colour at every pixel, 0..1.

A ground texture fills a whole scene of side `SIDE`; a thing's texture is painted in its own coordinates (u right,
v down, −1..1).
"""

from collections.abc import Callable

import numpy as np

SIDE = 96
"""Width and height of a scene, px."""

GroundTexture = Callable[[np.random.Generator], np.ndarray]
ThingTexture = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]

_Y, _X = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)


def _wave(phase: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.sin(phase)


def _grain(rng: np.random.Generator) -> np.ndarray:
    return rng.random((SIDE, SIDE), np.float32)


def _smooth_noise(rng: np.random.Generator, cell: int) -> np.ndarray:
    """Value noise: random heights every `cell` pixels, at a random offset, blended smoothly between."""
    corners = rng.random((SIDE // cell + 3, SIDE // cell + 3), np.float32)
    positions = [np.arange(SIDE, dtype=np.float32) / cell + rng.random() for _ in range(2)]
    (row, down), (column, right) = ((position.astype(int), position % 1) for position in positions)
    down, right = (part**2 * (3 - 2 * part) for part in (down[:, None], right[None]))
    above = corners[row][:, column] * (1 - right) + corners[row][:, column + 1] * right
    below = corners[row + 1][:, column] * (1 - right) + corners[row + 1][:, column + 1] * right
    return above * (1 - down) + below * down


def blades(rng: np.random.Generator) -> np.ndarray:
    """Short upright strokes, each column shifted by itself."""
    strokes = rng.random((SIDE // 6 + 2, SIDE), np.float32)
    row = ((_Y + 6 * rng.random(SIDE)[None]) / 6).astype(int)
    return np.take_along_axis(strokes, row % len(strokes), axis=0)


def leaves(rng: np.random.Generator) -> np.ndarray:
    """Small blotches with soft grain."""
    return 0.7 * (_smooth_noise(rng, 5) > 0.5) + 0.3 * _smooth_noise(rng, 3)


def speckles(rng: np.random.Generator) -> np.ndarray:
    """Weak grain, every pixel by itself."""
    return 0.25 + 0.5 * _grain(rng)


def planks(rng: np.random.Generator) -> np.ndarray:
    """Horizontal boards, slightly bent."""
    return 0.2 + 0.6 * _wave(2 * _Y / 3 + 10 * _smooth_noise(rng, 24))


def clods(rng: np.random.Generator) -> np.ndarray:
    """Blocks of 4 × 4 px, each of its own brightness."""
    return np.kron(rng.random((SIDE // 4, SIDE // 4), np.float32), np.ones((4, 4), np.float32))


def masonry(rng: np.random.Generator) -> np.ndarray:
    """Staggered rows with bright joints."""
    height, width, down, right = rng.integers(7, 10), rng.integers(14, 19), *rng.integers(0, 9, 2)
    row = (_Y + down) // height
    joints = ((_Y + down) % height < 1.5) | ((_X + right + row % 2 * width / 2) % width < 1.5)
    return 0.9 * joints + 0.1 * _grain(rng)


def lattice(rng: np.random.Generator) -> np.ndarray:
    """Thin lines in both directions, 11 to 15 px apart."""
    pitch, down, right = rng.integers(11, 16), *rng.integers(0, 12, 2)
    return (((_Y + down) % pitch < 1.5) | ((_X + right) % pitch < 1.5)).astype(np.float32)


def ripples(rng: np.random.Generator) -> np.ndarray:
    """Horizontal waves, bent together from column to column."""
    bend = 3 * np.sin(_X / rng.uniform(4, 6) + 6 * rng.random())
    return _wave((_Y + bend) * 2 * np.pi / rng.uniform(7, 10))


def clouds(rng: np.random.Generator) -> np.ndarray:
    """Large bright patches on nothing."""
    return (1.8 * _smooth_noise(rng, 24) - 0.5).clip(0, 1)


def drifts(rng: np.random.Generator) -> np.ndarray:
    """Almost even: wide, faint heights."""
    return 0.15 * _smooth_noise(rng, 30) + 0.05 * _grain(rng)


def asphalt(rng: np.random.Generator) -> np.ndarray:
    """Fine grain and one faint line."""
    return 0.35 + 0.3 * _grain(rng) + 0.1 * (abs(_Y - SIDE * rng.random()) < 2)


def veins(rng: np.random.Generator) -> np.ndarray:
    """Thin bright lines along one height of a smooth noise."""
    height = _smooth_noise(rng, 16) + 0.25 * _smooth_noise(rng, 6)
    return 0.9 * (abs(height - 0.62) < 0.05)


def zigzag(rng: np.random.Generator) -> np.ndarray:
    """Horizontal bands that go up and down."""
    pitch = rng.uniform(8, 11)
    return ((_Y + abs(_X % pitch - pitch / 2)) % pitch < pitch / 2).astype(np.float32)


def folds(rng: np.random.Generator) -> np.ndarray:
    """Vertical waves, shifted by a smooth noise."""
    return _wave(_X * 2 * np.pi / rng.uniform(9, 13) + 1.5 * _smooth_noise(rng, 48))


def plain(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Almost the first colour alone, with a faint grain."""
    return 0.08 * rng.random(u.shape)


def shaded(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The first colour at the upper left, the second at the lower right."""
    return (0.5 + 0.4 * (u + v)).clip(0, 1)


def bands(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Horizontal stripes."""
    return np.sin(v * rng.uniform(9, 12)) > 0


def stripes(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vertical stripes."""
    return np.sin(u * rng.uniform(9, 12)) > 0


def checks(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A chessboard."""
    pitch = rng.uniform(6, 8)
    return (np.sin(u * pitch) > 0) ^ (np.sin(v * pitch) > 0)


def dots(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of round dots, every other one shifted."""
    pitch = rng.uniform(8, 10)
    return np.sin(u * pitch) * np.sin(v * pitch) > 0.35


def circles(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rings around the middle."""
    return np.sin(np.hypot(u, v) * rng.uniform(11, 14)) > 0


def freckles(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strong grain, every pixel by itself."""
    return rng.random(u.shape)


def panes(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bars in both directions, half the thing's radius apart."""
    return ((u + 1) % 0.5 < 0.12) | ((v + 1) % 0.5 < 0.12)
