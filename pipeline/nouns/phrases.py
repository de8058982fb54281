"""A noun with the words before it that can be seen, by rules over the tagger's tags: "red double-decker bus".

The bundled pipeline has no parser. A walk from the noun to the left takes adjectives, nouns, participles and what joins
them, passes over what shows nothing, and ends where the noun phrase begins: at a determiner, a number, a possessive, a
preposition, a verb. What tags alone do not tell apart, the lists in phrases.toml do: "a snow covered slope" has a
participle, "a man sliced bread" a verb.
"""

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from spacy.tokens import Token

from pipeline.nouns.text import noun_name
from pipeline.nouns.words import dictionary_form

LISTS = Path(__file__).with_name("phrases.toml")

MAX_ATTRIBUTES = 6
"""Words before a noun that a phrase takes; those farther away are left."""

_THINGS = ("NOUN", "PROPN")
_QUALITIES = ("ADJ", "VERB")
_POSSESSIVES = frozenset(["his", "her", "its", "their", "my", "our", "your"])
_ARTICLES = frozenset(["a", "an", "the", "this", "that", "these", "those", "no", "every", "another"])
_ONE = frozenset(["a", "an", "another", "each", "every", "one"])


class Word(NamedTuple):
    """A word of a phrase: tokens `first` to `last` of a caption, of which more than one have hyphens between them."""

    first: int
    last: int
    name: str
    """In lower case."""
    joint: str
    """What stands between this word and the next one of the phrase: " ", "-" or " and "."""


class Before(NamedTuple):
    """What stands before a noun and belongs to it."""

    first: int
    """The first token that belongs to the noun; the noun's own first one if there is none."""
    words: list[Word]
    """Those that can be seen, in the order of the text."""

    def phrase(self, noun: str) -> str:
        """The words and the noun."""
        return "".join(f"{word.name}{word.joint}" for word in self.words) + noun


@cache
def _listed(name: str) -> frozenset[str]:
    return frozenset(tomllib.loads(LISTS.read_text(encoding="utf8"))[name].split())


def words_before(tokens: Sequence[Token], noun: int, not_shown: frozenset[str]) -> Before:
    """The words before a noun that belong to it.

    Args:
        tokens: a caption's tokens without the hyphens inside words ("double-decker").
        noun: the first token of the noun.
        not_shown: lower-case words that show nothing: they belong to the noun, and are no part of its phrase.
    """
    words: list[Word] = []
    right = noun  # the first token of what belongs to the noun so far
    while len(words) < MAX_ATTRIBUTES:
        last, joint = _next_word(tokens, right)
        first = last
        while first > 0 and _has_hyphen(tokens, first - 1):
            first -= 1
        if last < 0 or not _belongs(tokens, first, last, right, joint, is_noun=right == noun):
            break
        name = noun_name("-".join(token.lower_ for token in tokens[first : last + 1]))
        next_is_shown = right == (words[0].first if words else noun)
        is_empty = first == last and _is_empty(tokens[last], next_is_shown)
        if name and name not in not_shown and not is_empty:
            words.insert(0, Word(first, last, name, joint if next_is_shown and joint != ", " else " "))
        right = first
    return Before(right, words)


def is_verb_of_subject(tokens: Sequence[Token], noun: int) -> bool:
    """Whether a word that is tagged as a plural is the verb of the noun before it: "a yellow bus drives by"."""
    before = noun - 1
    if before < 0 or tokens[before].pos_ not in _THINGS or _has_hyphen(tokens, before) or _is_singular(tokens[noun]):
        return False
    start = words_before(tokens, before, frozenset()).first - 1
    return start >= 0 and tokens[start].lower_ in _ONE and _is_singular(tokens[before])


def _next_word(tokens: Sequence[Token], right: int) -> tuple[int, str]:
    """The last token of the word to the left of token `right`, and what is between them; -1: there is none."""
    last = right - 1
    if last < 0 or _has_hyphen(tokens, last):
        return last, "-"
    if tokens[last].lower_ in ("and", "&"):
        return last - 1 - (last > 0 and tokens[last - 1].text == ","), " and "
    return (last - 1, ", ") if tokens[last].text == "," else (last, " ")


def _has_hyphen(tokens: Sequence[Token], index: int) -> bool:
    """Whether a hyphen is all that stands between a token and the next one."""
    return tokens[index].i + 2 == tokens[index + 1].i


def _belongs(tokens: Sequence[Token], first: int, last: int, right: int, joint: str, is_noun: bool) -> bool:
    """Whether the word of the tokens `first` to `last` belongs to what begins at token `right`.

    is_noun: that is the noun itself, not a word before it.
    """
    word, following = tokens[last], tokens[right]
    if joint == "-":
        return word.pos_ != "PUNCT"
    is_unit = first < last  # "double-decker": an adjective, whatever its parts are
    if joint != " ":
        return not is_noun and _is_joined(tokens, right) and (is_unit or _is_joined(tokens, last))
    if is_unit or word.pos_ == "ADJ":
        return True
    if word.pos_ in _THINGS:
        if following.pos_ in _THINGS or following.lower_ in _listed("after_a_noun"):
            return _is_singular(word)
        return word.lower_ in _listed("colours") or word.lower_ in _listed("materials")
    if word.pos_ == "VERB":
        return _is_participle(word) and _is_no_verb(tokens, last)
    return word.pos_ == "ADV" and following.pos_ in _QUALITIES and _tells_how(word)


def _is_joined(tokens: Sequence[Token], index: int) -> bool:
    """Whether a word may be joined to an adjective by "and" or a comma."""
    word = tokens[index]
    if word.pos_ == "VERB":
        return _is_participle(word) and _is_no_verb(tokens, index)
    has_hyphen = _has_hyphen(tokens, index) or (index > 0 and _has_hyphen(tokens, index - 1))
    return word.pos_ == "ADJ" or has_hyphen or word.lower_ in _listed("colours")


def _is_singular(word: Token) -> bool:
    """A plural ends a phrase: in "its masters feet" an apostrophe is missing, and in "kites people" a comma."""
    return dictionary_form(word.lower_, word.lemma_.lower()) == word.lower_ or word.lower_ in _listed("plurals")


def _is_participle(word: Token) -> bool:
    text = word.lower_
    return text in _listed("irregular") or (
        text.endswith(("ing", "ed", "en")) and text not in _listed("no_participles")
    )


def _is_no_verb(tokens: Sequence[Token], index: int) -> bool:
    """Whether a participle says how a thing looks ("a parked car"), not what somebody does ("a man riding horses")."""
    text = tokens[index].lower_
    is_present = text.endswith("ing")
    before = index - 1
    while before >= 0 and (tokens[before].pos_ == "ADV" or (is_present and tokens[before].pos_ == "ADJ")):
        before -= 1
    if before < 0:
        return not is_present or text in _listed("without_an_object")
    word = tokens[before]
    if is_present and before < index - 1 and text not in _listed("without_an_object"):
        return False
    is_possessive = word.lower_ in _POSSESSIVES or word.lower_ == "'s"
    if word.pos_ in _THINGS:
        return text in _listed("after_a_noun") and _is_singular(word)
    if is_possessive or (word.pos_ != "PRON" and word.lower_ in _ARTICLES) or word.pos_ == "NUM":
        return True
    if word.pos_ in ("PRON", "AUX"):
        return False
    return not is_present or (word.pos_ != "CCONJ" and text in _listed("without_an_object"))


def _tells_how(adverb: Token) -> bool:
    text = adverb.lower_
    return text.endswith("ly") or text in _listed("adverbs") or text in _listed("empty_adverbs")


def _is_empty(word: Token, next_is_shown: bool) -> bool:
    """Whether a word shows nothing: an adverb of what shows nothing, "8th"."""
    if word.pos_ == "ADV":
        return not next_is_shown or word.lower_ in _listed("empty_adverbs")
    return word.text[0].isdigit()
