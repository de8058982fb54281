"""Captions of scenes: they name one to three of the things and grounds, and words that no region shows."""

from collections.abc import Collection, Mapping

import numpy as np

from pipeline.microworld.attributes import Attributes
from pipeline.microworld.categories import GROUNDS, THINGS

Looks = Mapping[str, Attributes] | None
"""Of every category that has attributes; each word of them is mostly said. None: a world without."""
_SAID = 0.75
"""How often a caption says a word of what can be seen."""

_INVISIBLE = ("nice", "pretty", "strange", "quiet", "lovely")
"""In worlds with attributes nothing is said of how a thing looks that is not true."""
_ADJECTIVES = ("small", "medium", "large", "old", "new", *_INVISIBLE)
# By what a caption names: things T and grounds G. Most of them hold a noun that names no region (picture, side, …).
_OF_SCENES = {
    "TTG": ("{} and {} on {}", "a picture of {} near {} with {} in the background", "{} and {} with {} on the side"),
    "TT": ("{} next to {}", "a photo of {} and {}", "{} in front of {} on a nice day"),
    "TG": ("{} on {}", "a view of {} with {} behind it", "{} in the middle of {}", "a day with {} and {}"),
    "GG": ("{} and {}", "a scene of {} with {} on top", "{} in front of {}"),
    "T": ("a photo of {}", "{} in the picture", "a nice day with {}", "there is {} in the scene"),
    "G": ("a photo of {}", "{} in the picture", "a nice day with {}", "there is {} in the scene"),
}
_OF_CROPS = (
    "a photo of {}", "this is a photo of {}", "{}", "a picture of {}", "a view of {}", "there is {} in the scene",
)  # fmt: skip
_OF_CROPS_WITH_GROUND = ("{} on {}", "{} near {}", "a photo of {} with {}")


def write_caption(
    rng: np.random.Generator, categories: list[str], unnamed: Collection[str] = (), looks: Looks = None
) -> str:
    """A caption of a scene.

    Args:
        categories: what can be seen.
        unnamed: categories that captions never mention; a scene that shows nothing else is called a scene.
        looks: what they look like.
    """
    named = [name for name in dict.fromkeys(categories) if name not in unnamed]
    things, grounds = ([name for name in named if name in kind] for kind in (THINGS, GROUNDS))
    rng.shuffle(things)
    rng.shuffle(grounds)
    kinds = [kind for kind in _OF_SCENES if kind.count("T") <= len(things) and kind.count("G") <= len(grounds)]
    if not kinds:
        return "a picture of a strange scene"
    # Mostly what says much: the list is in this order.
    kind = kinds[min(int(rng.geometric(0.55)) - 1, len(kinds) - 1)]
    nouns = things[: kind.count("T")] + grounds[: kind.count("G")]
    return _fill(rng, _OF_SCENES[kind], nouns, looks)


def write_crop_caption(rng: np.random.Generator, category: str, grounds: list[str], looks: Looks = None) -> str:
    """A caption of a crop that shows mainly one region.

    Args:
        grounds: other grounds of the scene; one of them is sometimes named too.
        looks: what the region looks like, by its category.
    """
    if grounds and rng.random() < 0.35:
        return _fill(rng, _OF_CROPS_WITH_GROUND, [category, str(rng.choice(grounds))], looks)
    return _fill(rng, _OF_CROPS, [category], looks)


def _fill(rng: np.random.Generator, templates: tuple[str, ...], nouns: list[str], looks: Looks) -> str:
    return str(rng.choice(templates)).format(*(_noun_phrase(rng, noun, looks) for noun in nouns))


def _noun_phrase(rng: np.random.Generator, noun: str, looks: Looks) -> str:
    adjectives = _ADJECTIVES if looks is None else _INVISIBLE
    words = [str(rng.choice(adjectives)), noun] if rng.random() < 0.3 else [noun]
    if looks and (attributes := looks.get(noun)):
        words[-1:] = [*(word for word in attributes.words if rng.random() < _SAID), noun]
    kind = rng.random()
    if kind < 0.3:
        return " ".join(["the", *words])
    # Grounds are no things to count; prompt templates put an article before everything.
    if noun in GROUNDS and kind < 0.75:
        return " ".join(words)
    return " ".join(["an" if words[0][0] in "aeiou" else "a", *words])
