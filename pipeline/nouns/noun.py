"""A noun at its position in a caption."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.nouns.text import noun_name, tagger_text


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

    def name(self, form: Literal["lemma", "surface"]) -> str:
        """What stands for this noun in the vocabulary (`NounsConfig.form`)."""
        if form == "lemma":
            return self.lemma
        return noun_name(tagger_text(self.surface)[0]) or self.lemma


def union(nouns: Iterable[list[Noun]], form: Literal["lemma", "surface"] = "lemma") -> list[tuple[int, Noun]]:
    """The nouns of an image from those of its captions: each name once, where it first occurs.

    nouns: one list per caption, as `NounExtractor.extract` returns them. Returns (caption index, noun) pairs in the
    order in which the names first occur.
    """
    first: dict[str, tuple[int, Noun]] = {}
    for caption_index, found in enumerate(nouns):
        for noun in found:
            first.setdefault(noun.name(form), (caption_index, noun))
    return list(first.values())
