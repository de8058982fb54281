"""The lemmatizer that ships: spaCy's rule lemmatizer with WordNet's noun tables, cut to what it needs."""

from pathlib import Path

from spacy.language import Language
from spacy.lookups import Lookups
from spacy.pipeline import Lemmatizer

from pipeline.nouns.training.wordnet import IN_CAPTIONS, NOUN_ENDINGS, read_exceptions, read_index

# Only nouns that end like a plural, or like what a plural rule leaves, decide anything.
_AMBIGUOUS = (
    "s", "f", "x", "z", "ch", "sh", "man", "y", "se", "ve", "xe", "ze", "che", "she", "ie",
)  # fmt: skip


def noun_tables(wordnet: Path) -> dict[str, dict]:
    """Rules, exceptions and index of spaCy's rule lemmatizer."""
    nouns = {word for word in read_index(wordnet, "noun") if word.isalpha()}
    exceptions = {form: lemma for form, lemma in read_exceptions(wordnet, "noun").items() if form.isalpha()}
    exceptions |= IN_CAPTIONS
    index = {word for word in nouns if word.endswith(_AMBIGUOUS)}
    return {
        "lemma_rules": {"noun": [list(rule) for rule in NOUN_ENDINGS]},
        "lemma_exc": {"noun": {form: [lemma] for form, lemma in sorted(exceptions.items())}},
        "lemma_index": {"noun": sorted(index - _misleading(nouns) - {"clothe"})},
    }


def _misleading(nouns: set[str]) -> set[str]:
    """One of each two nouns with the same plural: "vases" is of vase, not of vas, and "bunches" not of Bunche.

    spaCy takes the last rule that leads to a word of the index, so the wrong one must not be in it.
    """
    wrong = set()
    for noun in nouns:
        plural = noun + "s"
        for ending, new in NOUN_ENDINGS[1:]:
            other = plural.removesuffix(ending) + new
            if plural.endswith(ending) and other in nouns:
                wrong.add(noun if noun.endswith(("che", "she", "sse")) else other)
    return wrong


def add_lemmatizer(nlp: Language, wordnet: Path) -> Lemmatizer:
    """Append the lemmatizer to a tagger."""
    lookups = Lookups()
    for name, table in noun_tables(wordnet).items():
        lookups.add_table(name, table)
    lemmatizer = nlp.add_pipe("lemmatizer", config={"mode": "rule"})
    assert isinstance(lemmatizer, Lemmatizer)
    lemmatizer.initialize(list, nlp=nlp, lookups=lookups)
    return lemmatizer
