"""Scenes: one or two grounds with one to three things on them, and exactly what can be seen of each."""

import colorsys
from dataclasses import dataclass

import numpy as np

from pipeline.microworld.attributes import COLOURS, Attributes, draw_attributes, paint
from pipeline.microworld.categories import GROUNDS, NAMES, THINGS
from pipeline.microworld.textures import SIDE

AT_HOME = 0.92
"""Share of the things that are drawn from, and stand on, one of their home grounds."""
_COLOURFUL = (0.85, 1.0)  # saturation and value of a pattern whose colour captions name
_LEAST_PIXELS = 80  # regions of which less can be seen are not annotated

_Y, _X = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)


@dataclass(frozen=True)
class Scene:
    """An image and its annotation."""

    pixels: np.ndarray
    """uint8 [SIDE,SIDE,3]."""
    segments: np.ndarray
    """int16 [SIDE,SIDE]: index of the region that a pixel shows, −1 where it is too small to be annotated."""
    categories: list[str]
    """Name of every region."""
    attributes: list[Attributes | None]
    """Of every region; None of grounds, and everywhere in worlds without attributes."""
    has_attributes: bool = False
    """Whether it is of a world with attributes."""

    @property
    def looks(self) -> dict[str, Attributes] | None:
        """The attributes of the first thing of each kind, which is the one that captions speak of; None: there are no
        attributes in this world.
        """
        pairs = zip(reversed(self.categories), reversed(self.attributes), strict=True)
        return {name: attributes for name, attributes in pairs if attributes} if self.has_attributes else None


def draw_scene(rng: np.random.Generator, *, attributes: bool = False) -> Scene:
    """Draw a scene; its things have attributes, or the colours of their kind."""
    names, layers, canvas = _draw_grounds(rng)
    seen_of: list[Attributes | None] = [None] * len(names)
    grounds = layers.copy()
    for _ in range(rng.choice([1, 2, 3], p=[0.35, 0.4, 0.25])):
        home = int(rng.integers(grounds.max() + 1))
        at_home = [name for name, thing in THINGS.items() if names[home] in thing.home]
        if at_home and rng.random() < AT_HOME:
            name, standing = str(rng.choice(at_home)), grounds == home
        else:
            name, standing = str(rng.choice(list(THINGS))), np.ones_like(grounds, bool)
        seen_of.append(draw_attributes(rng) if attributes else None)
        covered, colours = _draw_thing(rng, name, standing, seen_of[-1])
        canvas[covered] = colours[covered]
        layers[covered] = len(names)
        names.append(name)
    # The light of the scene, and the noise of the camera.
    canvas *= rng.uniform(0.82, 1.12, 3) * rng.uniform(0.75, 1.15)
    canvas += rng.normal(0, 0.025, canvas.shape)
    segments = np.full((SIDE, SIDE), -1, np.int16)
    shown = [layer for layer in range(len(names)) if (layers == layer).sum() >= _LEAST_PIXELS]
    for region, layer in enumerate(shown):
        segments[layers == layer] = region
    return Scene(
        (255 * canvas.clip(0, 1)).astype(np.uint8),
        segments,
        [names[layer] for layer in shown],
        [seen_of[layer] for layer in shown],
        attributes,
    )


def category_indices(scene: Scene) -> np.ndarray:
    """Index into `NAMES` of what every pixel shows, int16 [SIDE,SIDE]; −1 where nothing is annotated."""
    indices = np.array([NAMES.index(name) for name in scene.categories], np.int16)
    return np.where(scene.segments >= 0, indices[scene.segments], -1)


def _draw_grounds(rng: np.random.Generator) -> tuple[list[str], np.ndarray, np.ndarray]:
    """One ground, or two that meet in a wavy line: their names, which one is where, colours float32 [SIDE,SIDE,3]."""
    first, second = map(str, rng.choice(list(GROUNDS), 2, replace=False))
    canvas, layers = _ground_colours(rng, first), np.zeros((SIDE, SIDE), np.int16)
    layout = rng.random()
    if layout > 0.85:
        return [first], layers, canvas
    across, along = (_Y, _X) if layout < 0.6 else (_X, _Y)
    line = SIDE * rng.uniform(0.3, 0.7) + rng.uniform(-0.4, 0.4) * (along - SIDE / 2)
    line += rng.uniform(0, 5) * np.sin(along / rng.uniform(6, 14) + 6 * rng.random())
    beyond = across > line
    canvas[beyond] = _ground_colours(rng, second)[beyond]
    layers[beyond] = 1
    return [first, second], layers, canvas


def _ground_colours(rng: np.random.Generator, name: str) -> np.ndarray:
    ground = GROUNDS[name]
    hue, saturation, value = (rng.uniform(*limits) for limits in (ground.hue, ground.saturation, ground.value))
    second = _rgb(hue + rng.uniform(-0.03, 0.03), saturation, value - ground.contrast)
    return _blend(_rgb(hue, saturation, value), second, ground.texture(rng))


def _draw_thing(
    rng: np.random.Generator, name: str, standing: np.ndarray, attributes: Attributes | None
) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels a thing covers (bool [SIDE,SIDE]), and its colours (float32 [SIDE,SIDE,3]).

    Args:
        standing: where its centre may be, bool [SIDE,SIDE].
    """
    thing = THINGS[name]
    radius, stretch = rng.uniform(13, 26), rng.uniform(0.85, 1.18)
    margin = int(0.7 * radius)
    inner = np.zeros_like(standing)
    inner[margin : SIDE - margin, margin : SIDE - margin] = True
    y, x = rng.choice(np.argwhere(standing & inner if (standing & inner).any() else inner)) + rng.random(2)
    turn = rng.normal(0, 0.22)
    down, right = (_Y - y) / radius, (_X - x) / radius
    u = (right * np.cos(turn) + down * np.sin(turn)) * stretch * rng.choice([-1, 1])
    v = (down * np.cos(turn) - right * np.sin(turn)) / stretch
    covered = thing.shape(u, v) & (abs(u) <= 1) & (abs(v) <= 1)
    hue = rng.uniform(*thing.hues[rng.integers(len(thing.hues))])
    saturation, value = rng.uniform(*thing.saturation), rng.uniform(*thing.value)
    other_value = 0.5 * value if value > 0.55 else value + 0.4
    second = _rgb(hue + rng.uniform(-0.06, 0.06), saturation * rng.uniform(0.3, 0.9), other_value)
    colours = _blend(_rgb(hue, saturation, value), second, thing.texture(u, v, rng))
    if attributes:
        painted = _rgb(rng.uniform(*COLOURS[attributes.colour]), rng.uniform(*_COLOURFUL), rng.uniform(*_COLOURFUL))
        colours[paint(attributes.pattern, u, v, rng)] = painted
    return covered, colours


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, min(max(value, 0), 1)), np.float32)


def _blend(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    share = share.astype(np.float32)[..., None]
    return first * (1 - share) + second * share
