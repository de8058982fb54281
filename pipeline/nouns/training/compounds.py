"""Build the lexicon of compound nouns (`pipeline/nouns/compounds.txt`) from WordNet and a reviewed list, and the list
of WordNet's nouns of one word (`pipeline/nouns/nouns.txt`).

    python -m pipeline.nouns.training.compounds --wordnet /usr/share/wordnet [--captions FILE]

WordNet 3.0's data files come with Debian's package wordnet-base. With --captions, the pairs of nouns that
recur in the captions and are in no list yet are printed for reading through, and nothing is written.
"""

import argparse
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from spacy.tokens import Doc

from pipeline.nouns.compounds import LEXICON
from pipeline.nouns.tagger import load_tagger
from pipeline.nouns.text import tagger_text
from pipeline.nouns.training.corpus import read_captions
from pipeline.nouns.training.wordnet import read_common_nouns, read_index
from pipeline.nouns.words import NOUNS

REVIEWED = Path(__file__).with_name("caption_compounds.txt")

RULES = {
    name: [" ".join(entry.split()) for entry in entries.split(",")]
    for name, entries in tomllib.loads(Path(__file__).with_name("compound_rules.toml").read_text("utf8")).items()
}


class Entry(NamedTuple):
    """A spelling of one of WordNet's nouns in one of its senses."""

    words: str
    category: str


def read_nouns(wordnet: Path) -> Iterator[Entry]:
    """Every spelling of every common noun of WordNet, one entry per sense, `_` and `-` read as spaces."""
    with open(wordnet / "data.noun", encoding="utf8") as lines:
        for line in lines:
            columns = line.split(" ")
            if line.startswith("  ") or "@i" in columns:  # the licence; an instance: a name, not a noun
                continue
            category = RULES["categories"][int(columns[1]) - 3]
            for column in range(4, 4 + 2 * int(columns[3], 16), 2):
                yield Entry(columns[column].lower().replace("_", " ").replace("-", " "), category)


def names_a_thing(entry: Entry, nouns: set[str]) -> bool:
    """Whether a caption that has these words in a row names one thing by them."""
    words = entry.words.split()
    if not 2 <= len(words) <= 4 or not re.fullmatch(r"[a-z][a-z' ]+", entry.words):
        return False
    if entry.words in RULES["phrases"]:
        return True
    if len(words[-1]) < 2:  # "vitamin c"
        return False
    if not set(words).isdisjoint(RULES["function_words"]) or entry.words in RULES["verb_and_object"]:
        return False
    if words[0] in RULES["describing"]:
        return entry.words in RULES["names_a_kind"]
    if words[0] in nouns:
        return entry.category in RULES["noun_modified"]
    return entry.category in RULES["things"]


def split_spellings(entry: Entry, nouns: set[str], adjectives: set[str]) -> Iterator[str]:
    """A noun such as "toothbrush" as captions also write it: "tooth brush"."""
    if entry.category == "substance" or entry.category not in [*RULES["things"], "location"]:
        return
    for cut in range(3, len(entry.words) - 2):
        first, second = entry.words[:cut], entry.words[cut:]
        if first in nouns and second in nouns and first not in adjectives and first not in RULES["describing"]:
            yield f"{first} {second}"


def read_reviewed() -> set[str]:
    """The compounds of caption_compounds.txt."""
    lines = REVIEWED.read_text(encoding="utf8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def build(wordnet: Path) -> list[str]:
    """The lexicon, sorted: lower-case words, separated by spaces, the last one as WordNet spells it."""
    nouns, adjectives = read_index(wordnet, "noun"), read_index(wordnet, "adj")
    lexicon = read_reviewed()
    for entry in read_nouns(wordnet):
        if names_a_thing(entry, nouns):
            lexicon.add(entry.words)
        elif entry.words.isalpha():
            lexicon.update(split_spellings(entry, nouns, adjectives))
    return sorted(lexicon)


class WordPair(NamedTuple):
    """Two adjacent nouns: their words, the number of captions, and the association of the two in -1..1."""

    words: str
    captions: int
    association: float


def recurring_pairs(docs: Iterable[Doc], known: set[str], least: int = 8) -> list[WordPair]:
    """Adjacent nouns that `least` tagged captions or more have, the most strongly associated first.

    The association is the normalised pointwise mutual information of the two words standing side by side.
    """
    nouns: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    total = 0
    for doc in docs:
        total += 1
        nouns.update({token.lemma_ for token in doc if token.pos_ == "NOUN"})
        pairs.update({(a.lower_, b.lemma_) for a, b in pairwise(doc) if a.pos_ == b.pos_ == "NOUN"})
    found = []
    for (first, second), count in pairs.items():
        name = f"{first} {second}"
        if count >= least and name not in known:
            by_chance = max(nouns[first], count) * nouns[second] / total
            found.append(WordPair(name, count, math.log(count / by_chance) / math.log(total / count)))
    return sorted(found, key=lambda pair: (-pair.association, pair.words))


def main() -> None:
    """Write the lexicon of compounds; with --captions, print frequent pairs of nouns that it lacks instead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, required=True, help="folder with data.noun, index.noun, index.adj")
    parser.add_argument("--captions", type=Path, help="COCO captions, .json or .json.gz")
    args = parser.parse_args()
    lexicon = build(args.wordnet)
    if args.captions:
        texts = [tagger_text(caption)[0] for caption in read_captions(args.captions)]
        for pair in recurring_pairs(load_tagger("bundled").pipe(texts), set(lexicon)):
            print(f"{pair.association:5.2f} {pair.captions:5d} {pair.words}")
    else:
        LEXICON.write_text("\n".join(lexicon) + "\n", encoding="utf8")
        print(f"{len(lexicon)} compounds in {LEXICON}")
        nouns = read_common_nouns(args.wordnet)
        NOUNS.write_text("\n".join(nouns) + "\n", encoding="utf8")
        print(f"{len(nouns)} nouns of one word in {NOUNS}")


if __name__ == "__main__":
    main()
