"""What the tagger is trained on: treebank sentences in the style of captions, and captions."""

import gzip
import json
import random
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.vocab import Vocab

ATTRIBUTES = ["ORTH", "SPACY", "POS", "MORPH"]


def read_conllu(path: Path) -> Iterator[list[list[str]]]:
    """The sentences of a CoNLL-U file (plain or .gz): one list of the ten columns per line.

    Empty nodes (ids like 8.1) are left out; multi-word ranges (ids like 4-5) are kept.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    rows: list[list[str]] = []
    with opener(path, "rt", encoding="utf8") as lines:
        for line in lines:
            line = line.rstrip("\n")
            if line and not line.startswith("#"):
                columns = line.split("\t")
                if "." not in columns[0]:
                    rows.append(columns)
            elif not line and rows:
                yield rows
                rows = []


def to_doc(rows: list[list[str]], vocab: Vocab) -> Doc:
    """One sentence with universal part-of-speech tags, and Number on nouns (all a lemmatizer reads)."""
    words, pos, morphs, spaces = [], [], [], []
    glued_until, space_after_range = 0, True
    for columns in rows:
        if "-" in columns[0]:  # "don't" is written as one word and analysed as two
            glued_until = int(columns[0].split("-")[1])
            space_after_range = "SpaceAfter=No" not in columns[9]
            continue
        index = int(columns[0])
        number = re.search(r"Number=(Sing|Plur|Ptan)", columns[5])
        words.append(columns[1])
        pos.append(columns[3])
        morphs.append(number.group() if number and columns[3] in ("NOUN", "PROPN") else "")
        if index < glued_until:
            spaces.append(False)
        elif index == glued_until:
            spaces.append(space_after_range)
        else:
            spaces.append("SpaceAfter=No" not in columns[9])
    return Doc(vocab, words=words, spaces=spaces, pos=pos, morphs=morphs)


def convert(source: Path, target: Path) -> int:
    """Write one CoNLL-U file as spaCy's binary corpus; returns the number of sentences."""
    vocab = spacy.blank("en").vocab
    docs = DocBin(ATTRIBUTES, docs=(to_doc(rows, vocab) for rows in read_conllu(source)))
    docs.to_disk(target)
    return len(docs)


def read_captions(path: Path, held_out: Collection[int] = ()) -> list[str]:
    """The captions of a COCO captions file (JSON, plain or .gz), each once, less those of the images held out."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf8") as file:
        annotations = json.load(file)["annotations"]
    return sorted({row["caption"].strip() for row in annotations if row["image_id"] not in held_out})


@spacy.registry.augmenters("caption_style.v1")
def caption_style(lower: float, upper: float, bare: float) -> Callable:
    """Make edited prose look like captions, which are often lower-case and end without a full stop.

    lower, upper: shares of the sentences turned to lower-case and to capitals; bare: share of the
    sentences that lose their final full stop.
    """
    rng = random.Random(0)

    def augment(nlp: Language, example: Example) -> Iterator[Example]:
        doc = example.reference
        words = [token.text for token in doc]
        choice = rng.random()
        if choice < lower:
            words = [word.lower() for word in words]
        elif choice < lower + upper:
            words = [word.upper() for word in words]
        end = len(words)
        if end > 3 and words[-1] in (".", "!") and rng.random() < bare:
            end -= 1
        styled = Doc(
            nlp.vocab,
            words=words[:end],
            spaces=[bool(token.whitespace_) for token in doc][:end],
            pos=[token.pos_ for token in doc][:end],
            morphs=[str(token.morph) for token in doc][:end],
        )
        yield Example(_untagged(styled), styled)

    return augment


def _untagged(doc: Doc) -> Doc:
    return Doc(
        doc.vocab,
        words=[token.text for token in doc],
        spaces=[bool(token.whitespace_) for token in doc],
    )
