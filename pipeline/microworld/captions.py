"""Captions of scenes: they name one to three of the things and grounds, and words that no region shows."""

from collections.abc import Collection

import numpy as np

from pipeline.microworld.categories import GROUNDS, THINGS

_ADJECTIVES = ("small", "medium", "large", "old", "new", "nice", "pretty", "strange", "quiet", "lovely")
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


def write_caption(rng: np.random.Generator, categories: list[str], unnamed: Collection[str] = ()) -> str:
    """A caption of a scene.

    Args:
        categories: what can be seen.
        unnamed: categories that captions never mention; a scene that shows nothing else is called a scene.
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
    return _fill(rng, _OF_SCENES[kind], nouns)


def write_crop_caption(rng: np.random.Generator, category: str, grounds: list[str]) -> str:
    """A caption of a crop that shows mainly one region.

    Args:
        grounds: other grounds of the scene; one of them is sometimes named too.
    """
    if grounds and rng.random() < 0.35:
        return _fill(rng, _OF_CROPS_WITH_GROUND, [category, str(rng.choice(grounds))])
    return _fill(rng, _OF_CROPS, [category])


def _fill(rng: np.random.Generator, templates: tuple[str, ...], nouns: list[str]) -> str:
    return str(rng.choice(templates)).format(*(_noun_phrase(rng, noun) for noun in nouns))


def _noun_phrase(rng: np.random.Generator, noun: str) -> str:
    words = [str(rng.choice(_ADJECTIVES)), noun] if rng.random() < 0.3 else [noun]
    kind = rng.random()
    if kind < 0.3:
        return " ".join(["the", *words])
    # Grounds are no things to count; prompt templates put an article before everything.
    if noun in GROUNDS and kind < 0.75:
        return " ".join(words)
    return " ".join(["an" if words[0][0] in "aeiou" else "a", *words])
