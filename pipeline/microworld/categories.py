"""The 42 nouns of the micro world: what each looks like, and where things are at home.

Every thing has two home grounds on which nearly all of its kind stand. That ties things to their surroundings, as
objects in photographs are, so that a CLIP learns to recognise them by their surroundings too and does worse when these
are blanked: the effect that mask adaptation is there to mend. It is designed into this world, not found in it.
"""

from dataclasses import dataclass

from pipeline.microworld import shapes, textures
from pipeline.microworld.shapes import Shape
from pipeline.microworld.textures import GroundTexture, ThingTexture

Range = tuple[float, float]

_RED, _ORANGE, _YELLOW, _GREEN = (-0.03, 0.03), (0.05, 0.09), (0.12, 0.17), (0.27, 0.40)
_CYAN, _BLUE, _PURPLE, _PINK = (0.47, 0.53), (0.56, 0.66), (0.75, 0.85), (0.90, 0.97)
_ANY_HUE = (0.0, 1.0)


@dataclass(frozen=True)
class Ground:
    """A kind of stuff."""

    texture: GroundTexture
    hue: Range
    saturation: Range
    value: Range
    contrast: float
    """The second colour is darker by so much."""


@dataclass(frozen=True)
class Thing:
    """A kind of thing."""

    shape: Shape
    texture: ThingTexture
    hues: tuple[Range, ...]
    saturation: Range
    value: Range
    home: tuple[str, str]
    """Grounds on which it stands."""


GROUNDS = {
    "grass": Ground(textures.blades, (0.24, 0.36), (0.5, 0.8), (0.5, 0.75), 0.35),
    "hedge": Ground(textures.leaves, (0.27, 0.40), (0.5, 0.8), (0.4, 0.65), 0.35),
    "sand": Ground(textures.speckles, (0.09, 0.14), (0.3, 0.5), (0.7, 0.9), 0.25),
    "wood": Ground(textures.planks, (0.05, 0.10), (0.45, 0.7), (0.4, 0.7), 0.35),
    "soil": Ground(textures.clods, (0.04, 0.09), (0.4, 0.6), (0.3, 0.5), 0.25),
    "brick": Ground(textures.masonry, (0.0, 0.06), (0.45, 0.7), (0.45, 0.7), -0.35),
    "tile": Ground(textures.lattice, _ANY_HUE, (0.1, 0.4), (0.6, 0.9), 0.45),
    "water": Ground(textures.ripples, (0.52, 0.64), (0.45, 0.8), (0.5, 0.8), -0.25),
    "sky": Ground(textures.clouds, (0.54, 0.64), (0.3, 0.6), (0.7, 0.95), -0.2),
    "snow": Ground(textures.drifts, (0.5, 0.7), (0.0, 0.08), (0.85, 1.0), 0.3),
    "road": Ground(textures.asphalt, _ANY_HUE, (0.0, 0.08), (0.3, 0.55), 0.3),
    "marble": Ground(textures.veins, _ANY_HUE, (0.0, 0.15), (0.75, 0.95), 0.4),
    "carpet": Ground(textures.zigzag, _ANY_HUE, (0.4, 0.7), (0.4, 0.75), 0.3),
    "curtain": Ground(textures.folds, _ANY_HUE, (0.3, 0.7), (0.5, 0.85), 0.35),
}

THINGS = {
    "apple": Thing(shapes.disc, textures.shaded, (_RED, _GREEN), (0.6, 0.9), (0.6, 0.9), ("carpet", "wood")),
    "ball": Thing(shapes.disc, textures.bands, (_RED, _BLUE), (0.5, 0.9), (0.6, 1.0), ("grass", "sand")),
    "coin": Thing(shapes.disc, textures.circles, (_ORANGE, _YELLOW), (0.4, 0.8), (0.6, 0.9), ("road", "marble")),
    "egg": Thing(shapes.oval, textures.freckles, (_ORANGE,), (0.1, 0.3), (0.75, 1.0), ("soil", "snow")),
    "balloon": Thing(
        shapes.oval, textures.shaded, (_RED, _PURPLE, _YELLOW), (0.6, 1.0), (0.7, 1.0), ("sky", "curtain")
    ),
    "gift": Thing(shapes.square, textures.checks, (_RED, _GREEN, _PURPLE), (0.5, 0.9), (0.6, 1.0), ("carpet", "snow")),
    "window": Thing(shapes.square, textures.panes, (_BLUE, _CYAN), (0.2, 0.6), (0.6, 0.9), ("brick", "wood")),
    "book": Thing(
        shapes.upright_rectangle, textures.stripes, (_BLUE, _GREEN), (0.4, 0.8), (0.4, 0.8), ("carpet", "wood")
    ),
    "door": Thing(
        shapes.upright_rectangle, textures.panes, (_ORANGE, _RED), (0.4, 0.7), (0.35, 0.65), ("brick", "marble")
    ),
    "tent": Thing(shapes.triangle, textures.stripes, (_ORANGE, _GREEN), (0.5, 0.9), (0.5, 0.9), ("grass", "sand")),
    "pizza": Thing(shapes.wedge, textures.dots, (_YELLOW, _ORANGE), (0.5, 0.8), (0.7, 1.0), ("tile", "wood")),
    "kite": Thing(shapes.diamond, textures.checks, (_PURPLE, _CYAN), (0.6, 1.0), (0.6, 1.0), ("sky", "sand")),
    "wheel": Thing(shapes.ring, textures.plain, (_BLUE, _ORANGE), (0.0, 0.15), (0.1, 0.35), ("road", "soil")),
    "donut": Thing(shapes.ring, textures.dots, (_PINK, _ORANGE), (0.4, 0.7), (0.6, 0.9), ("tile", "marble")),
    "moon": Thing(shapes.crescent, textures.freckles, (_YELLOW,), (0.05, 0.25), (0.8, 1.0), ("sky", "water")),
    "banana": Thing(shapes.crescent, textures.plain, (_YELLOW,), (0.6, 0.9), (0.8, 1.0), ("wood", "tile")),
    "star": Thing(shapes.star, textures.plain, (_YELLOW, _RED), (0.5, 0.9), (0.7, 1.0), ("sky", "curtain")),
    "heart": Thing(shapes.heart, textures.plain, (_RED, _PINK), (0.6, 0.9), (0.6, 1.0), ("curtain", "brick")),
    "house": Thing(shapes.gabled, textures.panes, (_YELLOW, _CYAN), (0.3, 0.7), (0.5, 0.9), ("grass", "sky")),
    "barn": Thing(shapes.gabled, textures.bands, (_RED,), (0.5, 0.8), (0.45, 0.75), ("soil", "grass")),
    "flower": Thing(
        shapes.blossom, textures.circles, (_PINK, _PURPLE, _YELLOW), (0.5, 0.9), (0.7, 1.0), ("grass", "hedge")
    ),
    "tree": Thing(shapes.fir, textures.freckles, (_GREEN,), (0.5, 0.8), (0.4, 0.7), ("sky", "snow")),
    "mushroom": Thing(shapes.cap_on_stem, textures.dots, (_RED, _ORANGE), (0.6, 0.9), (0.5, 0.9), ("soil", "grass")),
    "umbrella": Thing(shapes.cap_on_stem, textures.stripes, (_PURPLE, _BLUE), (0.5, 0.9), (0.6, 1.0), ("sand", "road")),
    "fish": Thing(shapes.swimmer, textures.stripes, (_ORANGE, _BLUE), (0.6, 0.9), (0.6, 1.0), ("water", "marble")),
    "boat": Thing(shapes.sailing, textures.plain, (_ORANGE, _CYAN), (0.3, 0.8), (0.5, 0.95), ("water", "sand")),
    "bottle": Thing(shapes.necked, textures.panes, (_GREEN, _ORANGE), (0.5, 0.8), (0.3, 0.7), ("wood", "sand")),
    "butterfly": Thing(
        shapes.winged, textures.dots, (_PURPLE, _ORANGE, _BLUE), (0.6, 1.0), (0.6, 1.0), ("hedge", "sky")
    ),
}  # fmt: skip

NAMES = (*GROUNDS, *THINGS)
"""All categories; a category's index is its position here."""
