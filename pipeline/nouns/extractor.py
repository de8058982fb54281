"""Nouns of captions."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Self

from spacy.tokens import Doc, Token

from pipeline.nouns.compounds import LEXICON, find_compound
from pipeline.nouns.config import NON_VISUAL, NounsConfig
from pipeline.nouns.mapped_text import MappedText
from pipeline.nouns.noun import Noun, Phrase
from pipeline.nouns.phrases import LISTS, Before, is_verb_of_subject, words_before
from pipeline.nouns.stop_lists import resolve_stop_list
from pipeline.nouns.tagger import identity, load_tagger
from pipeline.nouns.text import MAX_CAPTION_LENGTH, caption_problem, noun_name, tagger_text
from pipeline.nouns.words import NOUNS, WORDS, dictionary_form, is_no_noun, may_be_no_name

BATCH = 256  # captions; larger ones are no faster


class _Span(NamedTuple):
    """A noun among the tokens of a caption."""

    first: int
    last: int
    name: str
    before: Before | None
    """None unless phrases were asked for."""


class NounExtractor:
    """Finds the nouns of captions with a spaCy pipeline.

    The arguments are the fields of `NounsConfig`, and whether each noun gets its phrase. OVSeg took the nouns that
    NLTK's tagger found (paper, section 3.2); here a tagger trained on captions does, and "fire hydrant" is one noun.

    Raises:
        UserError: `pipeline` cannot be loaded, or a stop list names a list that does not exist.
    """

    def __init__(
        self,
        pipeline: str = "auto",
        *,
        compounds: bool = True,
        proper_nouns: bool = False,
        stop_list: Sequence[str] = (),
        max_caption_length: int = MAX_CAPTION_LENGTH,
        phrases: bool = False,
        attribute_stop_list: Sequence[str] = NON_VISUAL,
        of_phrases: bool = False,
    ) -> None:
        self._compounds = compounds
        self._tags = {"NOUN", "PROPN"} if proper_nouns else {"NOUN"}
        self._stop_list = resolve_stop_list(list(stop_list))
        self._max_length = max_caption_length
        self._phrases, self._of_phrases = phrases, phrases and of_phrases
        self._not_shown = resolve_stop_list(list(attribute_stop_list), "nouns.attribute_stop_list")
        self._tagger = load_tagger(pipeline)
        self._identity = identity(self._tagger)
        words = hashlib.sha256(NOUNS.read_bytes() + WORDS.read_bytes())
        self._identity["words_sha256"] = words.hexdigest()
        if compounds:
            self._identity["compounds_sha256"] = hashlib.sha256(LEXICON.read_bytes()).hexdigest()
        if phrases:
            read = LISTS.read_bytes() + "\n".join(sorted(self._not_shown)).encode()
            self._identity["phrases_sha256"] = hashlib.sha256(read).hexdigest()

    @classmethod
    def from_config(cls, config: NounsConfig) -> Self:
        """The extractor that a configuration asks for."""
        return cls(
            config.pipeline,
            compounds=config.compounds,
            proper_nouns=config.proper_nouns,
            stop_list=config.stop_list,
            max_caption_length=config.max_caption_length,
            phrases=config.form == "phrase",
            attribute_stop_list=config.attribute_stop_list,
            of_phrases=config.of_phrases,
        )

    @property
    def identity(self) -> dict[str, str]:
        """What found the nouns: pipeline name, its version, spaCy's version, digests of the files read."""
        return dict(self._identity)

    def extract(self, captions: list[str]) -> list[list[Noun]]:
        """The nouns of each caption, in the order of the text; nouns never overlap.

        Any string will do: a caption that `caption_problem` objects to has no nouns.
        """
        nouns: list[list[Noun]] = [[] for _ in captions]
        usable = [index for index, caption in enumerate(captions) if caption_problem(caption, self._max_length) is None]
        texts = [tagger_text(captions[index]) for index in usable]
        docs = self._tag([text for text, _ in texts])
        for index, (_, mapping), doc in zip(usable, texts, docs, strict=True):
            nouns[index] = self._nouns(doc, captions[index], mapping)
        return nouns

    def _tag(self, texts: list[str]) -> list[Doc]:
        """Tagged texts; those that begin with a common noun that is taken for a name are tagged in lower case."""
        docs = list(self._tagger.pipe(texts, batch_size=BATCH))
        again = {}
        for number, doc in enumerate(docs):
            if first := may_be_no_name(doc):
                again[number] = f"{doc.text[: first.idx]}{first.lower_}{doc.text[first.idx + len(first) :]}"
        docs_again = self._tagger.pipe(again.values(), batch_size=BATCH)
        for number, doc in zip(again, docs_again, strict=True):
            docs[number] = doc
        return docs

    def _nouns(self, doc: Doc, caption: str, mapping: MappedText | None) -> list[Noun]:
        tokens = _without_inner_hyphens(doc)

        def place(first: int, last: int) -> tuple[int, int]:
            """Characters of the caption."""
            start, end = tokens[first].idx, tokens[last].idx + len(tokens[last])
            return (start, end) if mapping is None else (mapping.starts[start], mapping.ends[end - 1])

        found = []
        before = len(caption)
        spans = self._spans(tokens)
        for number, span in enumerate(spans):
            start, end = place(span.first, span.last)
            if end > before:  # the tagger cut through what is one character in the caption ("ﬁ")
                continue
            before = start
            phrase = None
            if span.before:
                text, last = span.before.phrase(span.name), span.last
                if self._of_phrases and number and (tail := _of(tokens, span.last, spans[number - 1])):
                    text, last = f"{text} of {tail}", spans[number - 1].last
                words = span.before.words
                from_, to = place(words[0].first if words else span.first, last)
                phrase = Phrase(text, from_, to, tuple(word.name for word in words))
            found.append(Noun(span.name, caption[start:end], start, end, phrase))
        found.reverse()
        return found

    def _spans(self, tokens: list[Token]) -> list[_Span]:
        """The nouns, from the end of the caption to its beginning.

        Backwards, because the last word of an English compound is the one that says what the thing is. With phrases, a
        noun that stands before another one is none of its own.
        """
        spans = []
        last = len(tokens) - 1
        while last >= 0:
            head = tokens[last]
            first, lemma = last, None
            if head.pos_ in ("NOUN", "PROPN"):
                compound = find_compound(tokens, last) if self._compounds else None
                if compound:
                    first, lemma = compound
                elif self._phrases and is_verb_of_subject(tokens, last):
                    pass
                elif head.pos_ in self._tags and not is_no_noun(tokens, last):
                    lemma = dictionary_form(head.lower_, head.lemma_.lower())
            name = noun_name(lemma) if lemma else None
            if name and name not in self._stop_list:
                before = words_before(tokens, first, self._not_shown) if self._phrases else None
                spans.append(_Span(first, last, name, before))
                first = before.first if before else first
            last = first - 1
        return spans


def _of(tokens: list[Token], last: int, following: _Span) -> str | None:
    """What follows with "of" and nothing else on the noun that ends with token `last`: "soup" of "bowl of soup"."""
    assert following.before
    if following.before.first != last + 2 or tokens[last + 1].lower_ != "of":
        return None
    noun = noun_name(
        " ".join(token.lower_ for token in tokens[following.first : following.last + 1]).replace(" 's", "'s")
    )
    return following.before.phrase(noun) if noun else None


def _without_inner_hyphens(doc: Doc) -> list[Token]:
    return [
        token for token in doc if token.text != "-" or token.whitespace_ or token.i == 0 or doc[token.i - 1].whitespace_
    ]
