"""How well a pipeline finds nouns.

python -m pipeline.nouns.training.evaluate --pipeline DIR [--gold gold.tsv] [--ud treebank.conllu.gz]

--gold: captions labelled by hand with their nouns, or in a column `phrases` with their phrases.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pipeline.nouns.extractor import NounExtractor
from pipeline.nouns.tagger import load_tagger
from pipeline.nouns.training.corpus import read_conllu, to_doc


class Scores(NamedTuple):
    """Precision, recall and F1 in percent."""

    precision: float
    recall: float
    f1: float

    def __str__(self) -> str:
        return f"precision {self.precision:.2f}, recall {self.recall:.2f}, F1 {self.f1:.2f}"


def _scores(right: int, found: int, wanted: int) -> Scores:
    precision, recall = 100 * right / max(found, 1), 100 * right / max(wanted, 1)
    return Scores(precision, recall, 2 * precision * recall / max(precision + recall, 1e-9))


class LabelledCaption(NamedTuple):
    """A caption and its nouns or phrases: "a|b" where either is right, and "?x" where x counts neither way."""

    image_id: int
    caption: str
    nouns: list[str]


def read_gold(path: Path) -> list[LabelledCaption]:
    """Captions labelled by hand: tab-separated, with the columns image_id, caption, and nouns (separated by spaces) or
    phrases (by semicolons)."""
    with open(path, encoding="utf8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [LabelledCaption(int(row["image_id"]), row["caption"], _labels(row)) for row in rows]


def has_phrases(path: Path) -> bool:
    """Whether what is labelled are phrases."""
    with open(path, encoding="utf8") as file:
        return "phrases" in file.readline().split()


def _labels(row: dict[str, str]) -> list[str]:
    return row["nouns"].split() if "nouns" in row else [phrase.strip() for phrase in row["phrases"].split(";")]


def score_captions(gold: Iterable[LabelledCaption], found: Iterable[list[str]]) -> Scores:
    """Lemmas (or phrases) found against those wanted, as multisets, over all captions."""
    right = found_total = wanted_total = 0
    for caption, lemmas in zip(gold, found, strict=True):
        left = Counter(lemmas)
        for noun in caption.nouns:
            if noun.startswith("?"):
                for lemma in noun.removeprefix("?").split("|"):
                    left.pop(lemma, None)
        wanted = [noun.split("|") for noun in caption.nouns if not noun.startswith("?")]
        found_total += left.total()
        wanted_total += len(wanted)
        for alternatives in wanted:
            match = next((lemma for lemma in alternatives if left[lemma]), None)
            if match:
                left[match] -= 1
                right += 1
    return _scores(right, found_total, wanted_total)


def score_treebank(pipeline: str, treebank: Path) -> tuple[float, Scores]:
    """Accuracy of all universal tags in percent, and the scores of NOUN, on the treebank's own tokens."""
    tagger = load_tagger(pipeline)
    wanted = [to_doc(rows, tagger.vocab) for rows in read_conllu(treebank)]
    bare = [to_doc(rows, tagger.vocab) for rows in read_conllu(treebank)]
    for doc in bare:
        for token in doc:
            token.pos_ = ""
    pairs = Counter(
        (gold.pos_, token.pos_)
        for gold_doc, doc in zip(wanted, tagger.pipe(bare, batch_size=256), strict=True)
        for gold, token in zip(gold_doc, doc, strict=True)
    )
    accuracy = 100 * sum(n for (a, b), n in pairs.items() if a == b) / pairs.total()
    found = sum(n for (_, b), n in pairs.items() if b == "NOUN")
    nouns = sum(n for (a, _), n in pairs.items() if a == "NOUN")
    return accuracy, _scores(pairs["NOUN", "NOUN"], found, nouns)


def main() -> None:
    """Print how well a pipeline finds the nouns of captions (--gold) and the tags of a treebank (--ud)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipeline", default="bundled")
    parser.add_argument("--gold", type=Path)
    parser.add_argument("--ud", type=Path)
    args = parser.parse_args()
    if args.gold:
        gold = read_gold(args.gold)
        phrases = has_phrases(args.gold)
        extractor = NounExtractor(args.pipeline, compounds=phrases, phrases=phrases)
        found = [[noun.text or noun.lemma for noun in nouns] for nouns in extractor.extract([g.caption for g in gold])]
        print("phrases:" if phrases else "captions:", score_captions(gold, found))
    if args.ud:
        accuracy, nouns = score_treebank(args.pipeline, args.ud)
        print(f"treebank: tags {accuracy:.2f}, nouns:", nouns)


if __name__ == "__main__":
    main()
