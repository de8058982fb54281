"""Texts that are near to the noun or phrase of a pair, and wrong for its region."""

import hashlib
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from pipeline import storage
from pipeline.errors import UserError
from pipeline.negatives.config import NOUN, NegativesConfig
from pipeline.negatives.noun_graph import BROAD, GENERAL, GRAPH, SENSES, Sibling, noun_graph
from pipeline.negatives.word_groups import LIVING, Section, read_word_groups

_FOLDER = Path(__file__).parent
_KINDS = _FOLDER / "kinds"
_ALIKE, _GROUPS = str(_FOLDER / "alike.txt"), str(_FOLDER / "noun_groups.txt")
_NO_WORD = re.compile(r"[^\w']+|_")


class Subject(NamedTuple):
    """What a pair is about."""

    noun: str
    surface: str
    """The noun as it stands in the caption."""
    phrase: str | None = None
    attributes: Sequence[str] = ()
    """Words of the phrase that say how the thing looks."""


class ImageText:
    """What is said of an image: nothing that it says is wrong of any of its regions."""

    def __init__(self, nouns: Iterable[str], captions: Iterable[str]):
        """
        Args:
            nouns: that were found in its captions.
            captions: all of them.
        """
        self.nouns = list(nouns)
        self._text = "".join(f" {' '.join(_NO_WORD.split(caption.lower()))} " for caption in captions)
        self._text += "".join(f" {_plain(noun)} " for noun in self.nouns)
        self.line = noun_graph().line_of(self.nouns)

    def says(self, word: str) -> bool:
        """Whether a word, or words, are in a caption, in the singular or a regular plural."""
        plain = _plain(word)
        return any(f" {form} " in self._text for form in (plain, f"{plain}s", f"{plain}es", f"{plain[:-1]}ies"))


def _plain(text: str) -> str:
    return " ".join(_NO_WORD.split(text.lower()))


class Negatives:
    """Finds hard negatives of pairs: in phrases, a word that says how the thing looks is replaced by one of its kind
    that would be wrong, as in FG-CLIP (Xie et al. 2025) and FG-OVD (Bianchi et al. 2024), and the noun by a co-hyponym.

    Nothing that a caption of the image says is used, and no synonym, hypernym or hyponym of a noun of the image.

    Raises:
        UserError: a kind is not known, or its file cannot be read.
    """

    def __init__(self, config: NegativesConfig, vocabulary: Container[str] = ()):
        """
        Args:
            vocabulary: nouns that are taken before others.
        """
        self._count, self._seed, self._vocabulary = config.count, config.seed, vocabulary
        self._files = [_file(kind) for kind in config.kinds if kind != NOUN]
        self._kinds = [read_word_groups(file) for file in self._files]
        self._swaps_nouns = NOUN in config.kinds
        self._noun_groups = read_word_groups(_GROUPS)
        self._alike = _alike_words(read_word_groups(_ALIKE))
        self._graph = noun_graph()
        self._siblings: dict[str, list[Sibling]] = {}

    @property
    def identity(self) -> dict[str, str]:
        """Digest of all lists that are used."""
        files = [*self._files, _ALIKE, _GROUPS, *map(str, (GRAPH, SENSES, GENERAL, BROAD))]
        return {"words_sha256": hashlib.sha256(b"".join(map(storage.read_bytes, files))).hexdigest()}

    def of(self, subject: Subject, image: ImageText, image_id: str) -> list[str]:
        """The negatives of a pair, at most as many as were asked for; of a phrase whole phrases.

        They depend on the seed, the image's id, its captions and the text alone, and on the vocabulary.
        """
        text = subject.phrase or subject.noun
        seed = hashlib.sha256(f"{self._seed}\0{image_id}\0{text}".encode()).digest()

        def drawn(text: str) -> bytes:
            return hashlib.sha256(seed + text.encode()).digest()

        changed = sorted(set(self._attributes_changed(subject, image)), key=drawn)
        nouns = sorted(self._other_nouns(subject, image), key=lambda ranked: (ranked[0], drawn(ranked[1])))
        in_place = [found for _, noun in nouns if (found := _with_noun(subject, noun)) is not None]
        both = (found for pair in zip_longest(changed, in_place) for found in pair if found is not None)
        return [found for found in dict.fromkeys(both) if found != text][: self._count]

    def _attributes_changed(self, subject: Subject, image: ImageText) -> Iterator[str]:
        phrase = subject.phrase
        if phrase is None:
            return
        living = self._is_living(subject.noun)
        used = [word for attribute in subject.attributes for word in _parts(attribute)]
        for kind in self._kinds:
            for section in kind:
                if section.about is not None and (section.about == LIVING) != living:
                    continue
                for word in _outermost(used, section):
                    for group in section.others(used):
                        if not any(map(image.says, group)) and (found := _replaced(phrase, word, group[0])):
                            yield found

    def _is_living(self, noun: str) -> bool:
        return any(self._graph.is_below(noun, kind) for kind in ("animal", "person")) or any(
            noun in section for section in self._noun_groups if section.about == LIVING
        )

    def _other_nouns(self, subject: Subject, image: ImageText) -> Iterator[tuple[tuple[bool, int], str]]:
        """Nouns for the place of the own one, each with its rank: the vocabulary's come first, then the nearest."""
        noun = subject.noun
        for section in self._noun_groups if self._swaps_nouns else ():
            if noun not in section or (section.about != LIVING and subject.attributes):  # no "tall sky"
                continue
            for group in section.others([noun]):
                if not any(map(image.says, group)) and group[0] not in image.line:
                    yield (group[0] not in self._vocabulary, 1), group[0]
        for sibling in self._siblings_of(noun) if self._swaps_nouns else ():
            known = sibling.noun in self._vocabulary
            if (known or sibling.in_captions) and sibling.noun not in image.line and not image.says(sibling.noun):
                yield (not known, sibling.distance), sibling.noun

    def _siblings_of(self, noun: str) -> list[Sibling]:
        """WordNet's siblings, without those that are often said of the same thing."""
        if noun not in self._siblings:
            forms = {noun, self._graph.known(noun) or noun, noun.rpartition(" ")[2]}
            alike = forms.union(*(self._alike.get(form, ()) for form in forms))
            # What is no role of one person may be one of another.
            near = [] if self._graph.is_below(noun, "person") else self._graph.siblings(noun)
            self._siblings[noun] = [
                sibling for sibling in near if alike.isdisjoint({sibling.noun, sibling.noun.rpartition(" ")[2]})
            ]
        return self._siblings[noun]


def _alike_words(sections: list[Section]) -> dict[str, set[str]]:
    """For every word of a list those that it shares a group with."""
    alike: dict[str, set[str]] = {}
    for section in sections:
        for group in section.groups:
            for word in group:
                alike.setdefault(word, set()).update(group)
    return alike


def _file(kind: str) -> str:
    bundled = sorted(path.stem for path in _KINDS.glob("*.txt"))
    if kind in bundled:
        return str(_KINDS / f"{kind}.txt")
    if storage.exists(kind):
        return kind
    raise UserError(f"negatives.kinds: {kind!r} is neither a file nor one of {', '.join([NOUN, *bundled])}")


def _parts(attribute: str) -> list[str]:
    """An attribute and the words that it is made of: "blue-and-white" is blue, too."""
    attribute = attribute.lower()
    return list(dict.fromkeys([attribute, *re.split(r"[\s-]+", attribute)]))


def _outermost(words: list[str], section: Section) -> list[str]:
    """The words of a section that are no part of another one: of "light blue" not "blue", if both are there."""
    known = [word for word in words if word in section]
    return [word for word in known if not any(word != other and word in _parts(other) for other in known)]


def _replaced(phrase: str, word: str, by: str) -> str | None:
    found, changes = re.subn(rf"(?<!\w){re.escape(word)}(?!\w)", lambda _: by, phrase, count=1)
    return found if changes else None


def _with_noun(subject: Subject, noun: str) -> str | None:
    """The text with another noun; None if the phrase does not have the noun that is replaced."""
    if subject.phrase is None:
        return noun
    for form in (subject.surface.lower(), subject.noun):
        if found := _replaced(subject.phrase, form, noun):
            return found
    return None
