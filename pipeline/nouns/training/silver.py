"""Part-of-speech tags for captions that nobody labelled: what teachers, WordNet and the captions agree on.

A tagger trained on edited prose alone takes "stop sign" for a verb and its object, and has never seen "frisbee".
Its errors are not the same in every sentence, though. So several teachers vote on each word, WordNet rules out what
the word can never be, and then the votes over all captions with the same word are added to each: mostly right in
many captions makes right in the odd one.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin

from pipeline.nouns.text import tagger_text
from pipeline.nouns.training.corpus import ATTRIBUTES
from pipeline.nouns.training.wordnet import PARTS, PartsOfSpeech

TAGS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM",
    "VERB", "X",
)  # fmt: skip
COLUMN = {tag: column for column, tag in enumerate(TAGS)}
OPEN = frozenset(PARTS.values())
CLOSED = frozenset(TAGS) - OPEN - {"PROPN", "PUNCT"}

LEAST_PROBABILITY = 3e-3  # one teacher's certainty must not silence the others
IMPOSSIBLE = -4.0  # added to the mean log-probability of a tag that WordNet or the treebank rules out
UNLIKELY = -3.0
TYPE_WEIGHT = 0.4  # of the word's tags over all captions
DETERMINERS = frozenset(["a", "an", "the", "his", "her", "their", "its", "some", "two", "three", "several"])
PREPOSITIONS = frozenset(["at", "by", "from", "in", "near", "of", "on", "with"])
AFTER_A_VERB = frozenset({
    "a", "across", "along", "an", "around", "as", "at", "between", "by", "down", "from", "her", "his", "in", "into",
    "its", "near", "on", "onto", "over", "past", "some", "the", "through", "to", "toward", "towards", "two", "under",
    "up", "with",
})  # fmt: skip
AFTER_A_NOUN = frozenset([".", "on", "in", "with", "of", "at", "near", "next", "is", "sitting", "from", "that", "to"])


def votes(teachers: Sequence[Language], docs: list[Doc]) -> list[np.ndarray]:
    """Mean log-probability of each tag, float [tokens, len(TAGS)] for each document."""
    totals = [np.zeros((len(doc), len(TAGS)), dtype=np.float32) for doc in docs]
    for teacher in teachers:
        tagger: Any = teacher.get_pipe("morphologizer")  # spaCy's annotations know of components that they are callable
        features: Any = teacher.get_pipe("tok2vec")
        merge = np.zeros((len(tagger.labels), len(TAGS)), dtype=np.float32)
        for row, label in enumerate(tagger.labels):  # "Number=Sing|POS=NOUN"
            merge[row, COLUMN[dict(part.split("=") for part in label.split("|"))["POS"]]] = 1
        words = (Doc(teacher.vocab, [t.text for t in doc], [bool(t.whitespace_) for t in doc]) for doc in docs)
        encoded = features.pipe(words, batch_size=500)
        for total, doc in zip(totals, encoded, strict=True):
            [probabilities] = tagger.model.predict([doc])
            total += np.log(np.maximum(probabilities @ merge, LEAST_PROBABILITY)) / len(teachers)
    return totals


def constrain(scores: np.ndarray, words: list[str], can_be: PartsOfSpeech, treebank: Counter, lower: Counter) -> None:
    """Lower the scores of tags that the words of one caption cannot have; in place.

    treebank: counts of (lower-case word, tag); lower: how often captions write a word in lower case.
    """
    for index, word in enumerate(words):
        small = word.lower()
        if not small.isalpha() or any(treebank[small, tag] > 20 for tag in CLOSED):
            continue
        score = scores[index]
        before = words[index - 1].lower() if index else ""
        after = words[index + 1].lower() if index + 1 < len(words) else "."
        for tag in CLOSED:
            if not treebank[small, tag]:
                score[COLUMN[tag]] += IMPOSSIBLE
        possible = can_be(small)
        if possible:
            for tag in OPEN - possible:
                score[COLUMN[tag]] += IMPOSSIBLE
        if possible and (index == 0 or word.islower() or lower[small] >= 5):
            score[COLUMN["PROPN"]] += UNLIKELY  # "Frisbee" is no name
        if "NOUN" not in possible:
            continue
        if small.endswith("ing") and "VERB" in possible and before not in DETERMINERS and after in DETERMINERS:
            score[COLUMN["NOUN"]] += UNLIKELY  # "riding a horse"
        if before in PREPOSITIONS and not small.endswith(("ing", "ed")):
            score[COLUMN["VERB"]] += UNLIKELY  # "on pillows"
        if before in DETERMINERS and not small.endswith(("ing", "ed")):
            score[COLUMN["VERB"]] += UNLIKELY  # "the swing"
        if before in ("a", "an", "the") and after in AFTER_A_NOUN:
            score[COLUMN["ADJ"]] += UNLIKELY  # "an orange on a plate"
        if (
            "VERB" in possible
            and can_be.is_base("verb", small)
            and can_be.is_base("noun", before)
            and not before.endswith(("s", "people", "men"))
            and not small.endswith(("s", "ing", "ed"))
        ):
            score[COLUMN["VERB"]] += UNLIKELY  # "a stop sign": no base form after a singular noun


def give_a_verb(score: np.ndarray, words: list[str], can_be: PartsOfSpeech) -> None:
    """Of "A boat sails through icy water", where all votes are for nouns, make the verb a verb; in place."""
    tags = [TAGS[column] for column in score.argmax(axis=1)]
    if "VERB" in tags or "AUX" in tags:
        return
    for index in range(1, len(words) - 1):
        subject, verb = words[index - 1].lower(), words[index].lower()
        if (
            tags[index - 1 : index + 1] == ["NOUN", "NOUN"]
            and verb.endswith("s")
            and not verb.endswith("ss")
            and not subject.endswith("s")
            and "VERB" in can_be(verb)
            and words[index + 1].lower() in AFTER_A_VERB
            and tags[:index].count("NOUN") <= 2
        ):
            score[index, COLUMN["VERB"]] -= UNLIKELY
            return


def add_type_votes(scores: list[np.ndarray], texts: list[list[str]]) -> list[np.ndarray]:
    """Add to each word the log of the mean tag distribution of the same word in all captions."""
    totals: dict[str, np.ndarray] = defaultdict(lambda: np.full(len(TAGS), 0.02))
    for score, words in zip(scores, texts, strict=True):
        odds = np.exp(score - score.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        for word, distribution in zip(words, odds, strict=True):
            totals[word.lower()] = totals[word.lower()] + distribution
    prior = {word: np.maximum(np.log(total / total.sum()), -6) for word, total in totals.items()}
    return [
        score + TYPE_WEIGHT * np.stack([prior[word.lower()] for word in words])
        for score, words in zip(scores, texts, strict=True)
    ]


def label_captions(
    captions: list[str],
    teachers: Sequence[Language],
    can_be: PartsOfSpeech,
    treebank: Counter,
) -> DocBin:
    """The captions as a training corpus. treebank: counts of (lower-case word, tag)."""
    nlp = spacy.blank("en")
    docs = [nlp.make_doc(tagger_text(caption)[0]) for caption in captions]
    texts = [[token.text for token in doc] for doc in docs]
    lower = Counter(word for words in texts for word in words if word.islower())
    scores = votes(teachers, docs)
    for score, words in zip(scores, texts, strict=True):
        constrain(score, words, can_be, treebank, lower)
        give_a_verb(score, words, can_be)
    labelled = DocBin(ATTRIBUTES)
    for doc, score in zip(docs, add_type_votes(scores, texts), strict=True):
        for token, column in zip(doc, score.argmax(axis=1), strict=True):
            token.pos_ = TAGS[column]
        for token in doc:
            if token.pos_ == "NOUN":
                plural = can_be.is_plural(token.lower_, lower)
                # spaCy's stub lacks it.
                token.set_morph("Number=Plur" if plural else "Number=Sing")  # type: ignore[attr-defined]
        labelled.add(doc)
    return labelled
