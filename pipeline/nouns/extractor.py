"""Nouns of captions."""

import hashlib
from collections.abc import Sequence
from typing import Self

from spacy.tokens import Doc, Token

from pipeline.nouns.compounds import LEXICON, find_compound
from pipeline.nouns.config import NounsConfig
from pipeline.nouns.mapped_text import MappedText
from pipeline.nouns.noun import Noun
from pipeline.nouns.stop_lists import resolve_stop_list
from pipeline.nouns.tagger import identity, load_tagger
from pipeline.nouns.text import MAX_CAPTION_LENGTH, caption_problem, noun_name, tagger_text
from pipeline.nouns.words import NOUNS, WORDS, dictionary_form, is_no_noun, may_be_no_name

BATCH = 256  # captions; larger ones are no faster


class NounExtractor:
    """Finds the nouns of captions with a spaCy pipeline.

    The arguments are the fields of `NounsConfig`. OVSeg took the nouns that NLTK's tagger found (paper, section
    3.2); here a tagger trained on captions does, and "fire hydrant" is one noun.

    Raises:
        UserError: `pipeline` cannot be loaded, or `stop_list` names a list that does not exist.
    """

    def __init__(
        self,
        pipeline: str = "auto",
        *,
        compounds: bool = True,
        proper_nouns: bool = False,
        stop_list: Sequence[str] = (),
        max_caption_length: int = MAX_CAPTION_LENGTH,
    ) -> None:
        self._compounds = compounds
        self._tags = {"NOUN", "PROPN"} if proper_nouns else {"NOUN"}
        self._stop_list = resolve_stop_list(list(stop_list))
        self._max_length = max_caption_length
        self._tagger = load_tagger(pipeline)
        self._identity = identity(self._tagger)
        words = hashlib.sha256(NOUNS.read_bytes() + WORDS.read_bytes())
        self._identity["words_sha256"] = words.hexdigest()
        if compounds:
            self._identity["compounds_sha256"] = hashlib.sha256(LEXICON.read_bytes()).hexdigest()

    @classmethod
    def from_config(cls, config: NounsConfig) -> Self:
        """The extractor that a configuration asks for."""
        return cls(
            config.pipeline,
            compounds=config.compounds,
            proper_nouns=config.proper_nouns,
            stop_list=config.stop_list,
            max_caption_length=config.max_caption_length,
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
        found = []
        before = len(caption)
        for first, last, lemma in self._spans(doc):
            name = noun_name(lemma)
            if name is None or name in self._stop_list:
                continue
            start, end = first.idx, last.idx + len(last)
            if mapping is not None:
                start, end = mapping.starts[start], mapping.ends[end - 1]
            if end > before:  # the tagger cut through what is one character in the caption ("ﬁ")
                continue
            before = start
            found.append(Noun(name, caption[start:end], start, end))
        found.reverse()
        return found

    def _spans(self, doc: Doc) -> list[tuple[Token, Token, str]]:
        """First token, last token and lemma of each noun, from the end of the caption to its beginning.

        Backwards, because the last word of an English compound is the one that says what the thing is.
        """
        tokens = _without_inner_hyphens(doc)
        spans = []
        last = len(tokens) - 1
        while last >= 0:
            head = tokens[last]
            first, lemma = last, None
            if head.pos_ in ("NOUN", "PROPN"):
                compound = find_compound(tokens, last) if self._compounds else None
                if compound:
                    first, lemma = compound
                elif head.pos_ in self._tags and not is_no_noun(tokens, last):
                    lemma = dictionary_form(head.lower_, head.lemma_.lower())
            if lemma:
                spans.append((tokens[first], head, lemma))
            last = first - 1
        return spans


def _without_inner_hyphens(doc: Doc) -> list[Token]:
    return [
        token for token in doc if token.text != "-" or token.whitespace_ or token.i == 0 or doc[token.i - 1].whitespace_
    ]
