"""Build the graph of nouns that name things to be seen (`pipeline/negatives/noun_graph.txt`) from WordNet.

    python -m pipeline.negatives.build_graph --wordnet /usr/share/wordnet --captions FILE

WordNet 3.0's data files come with Debian's package wordnet-base. A noun is kept if one of its senses is a physical
thing, and captions name it or WordNet's own corpus has it in that sense: rare names of beasts and tools would make
negatives that nobody takes for the thing.

A line is a synset: its nouns, each with the number of the sense ("bus:1"; "omnibus:1-" if captions do not name it), a
tab, and the lines of its hypernyms, all of them above it, counted from 0.
"""

import argparse
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from pipeline.negatives.noun_graph import GRAPH
from pipeline.nouns import NounExtractor
from pipeline.nouns.training.corpus import read_captions

ROOT = "physical_entity"
_NO_NAMES = ("Frisbee", "TV")  # though WordNet writes them with a capital
_RARE = 2  # captions; those with a noun that fewer have are mostly misspelt


class Synset(NamedTuple):
    """A line of data.noun."""

    words: list[str]
    """As WordNet writes them, with underscores and capitals."""
    category: int
    """Number of the lexicographer's file."""
    hypernyms: list[int]
    """Offsets."""


class Sense(NamedTuple):
    """A noun in one of its senses."""

    word: str
    """Lower case, with spaces."""
    number: int
    """From 1, the most frequent one."""
    synset: int
    """Offset."""


def read_synsets(wordnet: Path) -> dict[int, Synset]:
    """WordNet's nouns by offset, without instances, which are names."""
    synsets = {}
    with open(wordnet / "data.noun", encoding="utf8") as lines:
        for line in lines:
            columns = line.split(" | ")[0].split(" ")
            if line.startswith("  ") or "@i" in columns:  # the licence; an instance
                continue
            words = 4 + 2 * int(columns[3], 16)
            pointers = columns[words + 1 :]
            hypernyms = [
                int(offset) for symbol, offset in zip(pointers[::4], pointers[1::4], strict=False) if symbol == "@"
            ]
            synsets[int(columns[0])] = Synset(columns[4:words:2], int(columns[1]), hypernyms)
    return synsets


def read_senses(wordnet: Path) -> list[Sense]:
    """Every noun with each of its senses."""
    senses = []
    with open(wordnet / "index.noun", encoding="utf8") as lines:
        for line in lines:
            if not line.startswith("  "):
                columns = line.split()
                offsets = columns[-int(columns[2]) :]
                word = columns[0].replace("_", " ")
                senses += [Sense(word, number, int(offset)) for number, offset in enumerate(offsets, 1)]
    return senses


def read_frequent(wordnet: Path) -> set[tuple[str, int]]:
    """The nouns, and numbers of senses, that WordNet's own corpus has."""
    found = set()
    with open(wordnet / "cntlist.rev", encoding="utf8") as lines:
        for line in lines:
            key, number, _ = line.split()
            word, _, rest = key.partition("%")
            if rest.startswith("1:"):
                found.add((word.replace("_", " "), int(number)))
    return found


def caption_nouns(captions: list[str]) -> set[str]:
    """The nouns that `_RARE` captions or more have."""
    counts = Counter(noun for nouns in NounExtractor("bundled").extract(captions) for noun in {n.lemma for n in nouns})
    return {noun for noun, count in counts.items() if count >= _RARE}


def build(wordnet: Path, named: set[str]) -> list[str]:
    """The lines of the graph.

    Args:
        named: nouns of captions.
    """
    synsets = read_synsets(wordnet)
    frequent = read_frequent(wordnet)
    [root] = [offset for offset, synset in synsets.items() if synset.words == [ROOT]]
    above: dict[int, frozenset[int]] = {}

    def ancestors(offset: int) -> frozenset[int]:
        if offset not in above:
            direct = [parent for parent in synsets[offset].hypernyms if parent in synsets]
            above[offset] = frozenset(direct).union(*map(ancestors, direct))
        return above[offset]

    by_word: dict[str, list[Sense]] = {}
    for sense in read_senses(wordnet):
        if sense.synset in synsets and root in ancestors(sense.synset) and _is_common(sense, synsets):
            by_word.setdefault(sense.word, []).append(sense)
    kept: dict[int, list[Sense]] = {}
    for word, senses in by_word.items():
        if word in named or any((word, sense.number) in frequent for sense in senses):
            for sense in senses:
                kept.setdefault(sense.synset, []).append(sense)
    nodes = set(kept).union(*map(ancestors, kept))
    order = sorted(nodes, key=lambda offset: (len(ancestors(offset)), offset))  # hypernyms have fewer above them
    place = {offset: line for line, offset in enumerate(order)}
    return [
        ",".join(
            f"{sense.word}:{sense.number}{'' if sense.word in named else '-'}" for sense in sorted(kept.get(offset, []))
        )
        + "\t"
        + " ".join(str(place[parent]) for parent in synsets[offset].hypernyms if parent in place)
        for offset in order
    ]


def _is_common(sense: Sense, synsets: dict[int, Synset]) -> bool:
    """Whether a noun is none of the names, which WordNet writes with a capital."""
    spellings = [word for word in synsets[sense.synset].words if word.lower().replace("_", " ") == sense.word]
    return any(word.islower() or word in _NO_NAMES for word in spellings) and not re.search(r"\d", sense.word)


def main() -> None:
    """Write the graph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, required=True, help="folder with data.noun, index.noun, cntlist.rev")
    parser.add_argument("--captions", type=Path, required=True, help="COCO captions, .json or .json.gz")
    args = parser.parse_args()
    lines = build(args.wordnet, caption_nouns(read_captions(args.captions)))
    GRAPH.write_text("\n".join(lines) + "\n", encoding="utf8")
    print(f"{len(lines)} synsets in {GRAPH}")


if __name__ == "__main__":
    main()
