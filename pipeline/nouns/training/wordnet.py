"""What WordNet's index files say about single words. Debian's package wordnet-base has them in /usr/share/wordnet."""

from collections.abc import Container
from pathlib import Path

PARTS = {"noun": "NOUN", "verb": "VERB", "adj": "ADJ", "adv": "ADV"}

# Endings to take off and what to put in their place: WordNet's morphology (man page morphy(7WN)).
NOUN_ENDINGS = (
    ("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"),
    ("ies", "y"),
)  # fmt: skip
ENDINGS = {
    "noun": NOUN_ENDINGS,
    "verb": (("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}


# Lemmas where WordNet's answer is not the word that names the thing in a picture: clothes and tools that are one
# thing in the plural, and plurals that captions use and WordNet lacks.
_ONE_THING_IN_THE_PLURAL = (
    "binoculars", "clothes", "data", "goggles", "jeans", "media", "pajamas", "pants", "people", "pliers", "scissors",
    "series", "shorts", "species", "sunglasses", "tongs", "trousers", "tweezers",
)  # fmt: skip
_PLURALS = {
    "buses": "bus", "leaves": "leaf", "lenses": "lens", "oxen": "ox", "skiis": "ski", "skis": "ski", "tvs": "tv",
}  # fmt: skip
IN_CAPTIONS = dict(zip(_ONE_THING_IN_THE_PLURAL, _ONE_THING_IN_THE_PLURAL, strict=True)) | _PLURALS


def read_index(folder: Path, part: str) -> set[str]:
    """The single words of a part ("noun", "verb", "adj" or "adv"), lower-case."""
    with open(folder / f"index.{part}", encoding="utf8") as lines:
        words = (line.split(" ", 1)[0] for line in lines if not line.startswith("  "))
        return {word for word in words if "_" not in word}


def read_exceptions(folder: Path, part: str) -> dict[str, str]:
    """Irregular form -> its (first) lemma."""
    with open(folder / f"{part}.exc", encoding="utf8") as lines:
        pairs = (line.split()[:2] for line in lines)
        return {form: lemma for form, lemma in pairs if "_" not in form}


def read_common_nouns(folder: Path) -> list[str]:
    """The nouns of one word that name a kind of thing, sorted: no names, which WordNet writes with a capital."""
    nouns: set[str] = set()
    with open(folder / "data.noun", encoding="utf8") as lines:
        for line in lines:
            columns = line.split(" ")
            if line.startswith("  ") or "@i" in columns:  # the licence; an instance
                continue
            nouns.update(word for word in columns[4 : 4 + 2 * int(columns[3], 16) : 2] if word.isalpha())
    return sorted(noun for noun in nouns if noun.islower())


class PartsOfSpeech:
    """Which open-class tags a word can have."""

    def __init__(self, folder: Path) -> None:
        self._indexes = {part: read_index(folder, part) for part in PARTS}
        self._exceptions = {part: read_exceptions(folder, part) for part in PARTS}
        self._known: dict[str, frozenset[str]] = {}

    def __call__(self, word: str) -> frozenset[str]:
        """The tags among NOUN, VERB, ADJ, ADV that a lower-case word can have; empty if WordNet lacks it."""
        if word not in self._known:
            tags = {tag for part, tag in PARTS.items() if self._is(word, part)}
            if "VERB" in tags and word.endswith(("ing", "ed")):
                tags.add("ADJ")
            self._known[word] = frozenset(tags)
        return self._known[word]

    def is_base(self, part: str, word: str) -> bool:
        """Whether a word is the lemma, not another form, of a noun, verb, …"""
        return word in self._indexes[part] and word not in self._exceptions[part]

    def is_plural(self, noun: str, seen: Container[str]) -> bool:
        """Whether a lower-case noun is a plural. seen: the words of the captions, which tell "colors" (there is
        "color") from "gas" (WordNet has a "ga", captions do not)."""
        if noun in IN_CAPTIONS:
            return IN_CAPTIONS[noun] != noun
        if noun in self._exceptions["noun"]:
            return self._exceptions["noun"][noun] != noun
        if noun.endswith(("ss", "us", "is")):
            return False
        singulars = {noun.removesuffix(ending) + new for ending, new in NOUN_ENDINGS if noun.endswith(ending)}
        if noun in self._indexes["noun"]:
            return any(word in seen for word in singulars)
        return noun.endswith("s") or not singulars.isdisjoint(self._indexes["noun"])

    def _is(self, word: str, part: str) -> bool:
        index = self._indexes[part]
        return (
            word in index
            or word in self._exceptions[part]
            or any(word.endswith(ending) and word.removesuffix(ending) + new in index for ending, new in ENDINGS[part])
        )
