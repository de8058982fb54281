"""What WordNet and a list made by hand know about single words that taggers and lemmatizers get wrong."""

import tomllib
from collections.abc import Sequence
from functools import cache
from itertools import chain
from pathlib import Path

from spacy.tokens import Doc, Token

WORDS = Path(__file__).with_name("words.toml")
NOUNS = Path(__file__).with_name("nouns.txt")

_ENDINGS = (("ies", "y"), ("ves", "f"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("sses", "ss"), ("s", ""))


@cache
def read_nouns() -> frozenset[str]:
    """WordNet's common nouns of one word, lower-case. Built by `pipeline.nouns.training.compounds`."""
    return frozenset(NOUNS.read_text(encoding="utf8").splitlines())


@cache
def _rules() -> dict:
    return tomllib.loads(WORDS.read_text(encoding="utf8"))


@cache
def _singulars() -> dict[str, str]:
    return {word: word for word in _rules()["as_they_are"].split()} | _rules()["singulars"]


@cache
def _listed(name: str) -> frozenset[str]:
    return frozenset(_rules()[name].split())


@cache
def _phrases() -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(phrase.split()) for phrase in _rules()["phrases"].split(","))


def dictionary_form(word: str, lemma: str) -> str:
    """The lemma of a noun, both lower-case: `lemma` as the tagger's pipeline has it, if WordNet does not object.

    A plural stays one where the tagger takes it for a singular, and a singular loses its s where it takes it for a
    plural: "flowers" becomes flower, and "bus" stays.
    """
    if word in _singulars():
        return _singulars()[word]
    nouns = read_nouns()
    if lemma == word and word.endswith("s") and word not in nouns:
        singulars = (word.removesuffix(ending) + new for ending, new in _ENDINGS if word.endswith(ending))
        return next((singular for singular in singulars if singular in nouns), lemma)
    if lemma != word and lemma not in nouns and word in nouns:
        return word
    return lemma


def is_no_noun(tokens: Sequence[Token], index: int) -> bool:
    """Whether a word that is tagged as a noun is none: "others", "upside" of "upside down", "reads" of "sign reads"."""
    word = tokens[index].lower_
    if word in _listed("no_nouns"):
        return True
    if word in _listed("verbs_after_a_noun"):
        return 0 < index < len(tokens) - 1 and tokens[index - 1].pos_ in ("NOUN", "PROPN")
    pairs = (tuple(token.lower_ for token in tokens[first : first + 2]) for first in (max(index - 1, 0), index))
    return any(pair in _phrases() for pair in pairs)


def may_be_no_name(doc: Doc) -> Token | None:
    """The first word of a caption, if it is taken for a name and may only have a capital because it is the first."""
    first = next((token for token in doc if token.is_alpha), None)
    if first is None or first.pos_ != "PROPN" or not first.text.istitle() or first.lower_ not in _with_plurals():
        return None
    after = next((token for token in doc[first.i + 1 :] if token.is_alpha), None)
    return None if after is not None and after.pos_ == "PROPN" else first


@cache
def _with_plurals() -> frozenset[str]:
    return frozenset(chain(read_nouns(), (f"{noun}s" for noun in read_nouns())))
