"""The lexicon of nouns that are written as several words."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from spacy.tokens import Token

from pipeline.nouns.words import dictionary_form

LEXICON = Path(__file__).with_name("compounds.txt")
LONGEST = 5  # tokens: four words, one of them with a possessive 's

# A participle after one of these is a verb with its object ("a man riding horse"), not part of a noun.
_BEFORE_A_VERB = frozenset({"NOUN", "PROPN", "PRON", "AUX"})


@cache
def read_lexicon() -> frozenset[str]:
    """Lower-case, words separated by spaces: "fire hydrant". Built by `pipeline.nouns.training.compounds`."""
    return frozenset(LEXICON.read_text(encoding="utf8").splitlines())


def find_compound(tokens: Sequence[Token], last: int) -> tuple[int, str] | None:
    """The longest compound of the lexicon that ends with the noun `tokens[last]`.

    tokens: a caption's tokens without the hyphens inside words ("teddy-bear"). Returns the index of the compound's
    first token, and its lemma; None if there is no compound.
    """
    lexicon = read_lexicon()
    head = tokens[last]
    for first in range(max(0, last + 1 - LONGEST), last):
        modifiers = "".join(_before(token) for token in tokens[first + 1 : last])
        before = f"{tokens[first].lower_}{modifiers} "
        # Some are listed in the plural: french fries.
        for lemma in (before + dictionary_form(head.lower_, head.lemma_.lower()), before + head.lower_):
            if lemma in lexicon and not _is_verb_with_object(tokens, first):
                return first, lemma
    return None


def _before(token: Token) -> str:
    return token.lower_ if token.lower_ == "'s" else f" {token.lower_}"


def _is_verb_with_object(tokens: Sequence[Token], first: int) -> bool:
    return tokens[first].pos_ == "VERB" and first > 0 and tokens[first - 1].pos_ in _BEFORE_A_VERB
