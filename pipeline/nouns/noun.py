"""A noun at its position in a caption."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.nouns.text import noun_name, tagger_text

Form = Literal["lemma", "surface", "phrase"]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun with what stands before it and can be seen."""

    text: str
    """Lower-case; the noun as its lemma, nothing between the words but spaces and hyphens: "red double-decker bus"."""
    start: int
    """First character in the caption; what shows nothing may stand between that and the end."""
    end: int
    """One past the last character in the caption."""
    attributes: tuple[str, ...] = ()
    """The words before the noun, without "and" between them."""


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun found in a caption: `caption[start:end] == surface`."""

    lemma: str
    """Dictionary form, lower-case: letters, digits, apostrophes, hyphens and spaces; of a compound only the last word
    is reduced ("tennis rackets": tennis racket)."""
    surface: str
    """As written in the caption, with the white space and markup inside."""
    start: int
    """First character in the caption."""
    end: int
    """One past the last character in the caption."""
    phrase: Phrase | None = None
    """None unless phrases were asked for."""

    def name(self, form: Form) -> str:
        """What stands for this noun in the vocabulary (`NounsConfig.form`)."""
        if form == "surface":
            return noun_name(tagger_text(self.surface)[0]) or self.lemma
        return self.lemma

    @property
    def text(self) -> str | None:
        """The phrase, None without."""
        return self.phrase.text if self.phrase else None


def union(nouns: Iterable[list[Noun]], form: Form = "lemma") -> list[tuple[int, Noun]]:
    """The nouns of an image from those of its captions: each name once, where it first occurs.

    With phrases each name once with each of its phrases; a bare noun ("bus") is left out where the image has a phrase
    of it ("red bus"), for it is the same thing, said less exactly.

    nouns: one list per caption, as `NounExtractor.extract` returns them. Returns (caption index, noun) pairs in the
    order in which the names first occur.
    """
    first: dict[tuple[str, str | None], tuple[int, Noun]] = {}
    phrases: defaultdict[str, int] = defaultdict(int)
    for caption_index, found in enumerate(nouns):
        for noun in found:
            key = (noun.name(form), noun.text)
            if key not in first:
                first[key] = (caption_index, noun)
                phrases[key[0]] += 1
    return [place for (name, text), place in first.items() if text != name or phrases[name] == 1]
