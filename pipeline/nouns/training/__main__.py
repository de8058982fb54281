"""Train the bundled English pipeline.

    python -m pipeline.nouns.training --ud DIR --captions FILE --wordnet DIR --output DIR [--held-out FILE]

1. Two teachers, one that reads words by their characters and one by their prefixes, suffixes and shapes, learn
   universal tags from UD_English-EWT made to look like captions (`corpus`).
2. They label COCO captions, with WordNet's help (`silver`).
3. The tagger to ship learns from both.
4. A lemmatizer with WordNet's noun tables is added (`lemmas`), and what only training needs is dropped.

Takes about 12 minutes of one core. The treebank: en_ewt-ud-{train,dev}.conllu, plain or .gz, from
https://github.com/UniversalDependencies/UD_English-EWT. WordNet: Debian's package wordnet-base.
"""

import argparse
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.strings import StringStore
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config
from thinc.api import Config, use_ops

from pipeline.errors import UserError
from pipeline.nouns.training.corpus import convert, read_captions
from pipeline.nouns.training.evaluate import read_gold
from pipeline.nouns.training.lemmas import add_lemmatizer
from pipeline.nouns.training.silver import label_captions
from pipeline.nouns.training.wordnet import PartsOfSpeech

CONFIG = Path(__file__).with_name("config.cfg")

META = {
    "name": "caption_nouns",
    "version": "0.2.0",
    "description": "Universal part-of-speech tags and noun lemmas of image captions",
    "license": "CC BY-SA 4.0; see NOTICE",
    "sources": [
        {"name": "UD_English-EWT 2.16", "license": "CC BY-SA 4.0"},
        {"name": "COCO captions, machine-labelled", "license": "CC BY 4.0"},
        {"name": "WordNet 3.0", "license": "WordNet"},
    ],
}


def character_config() -> Config:
    """The architecture to ship: unknown words and misspellings look like the words they are near to."""
    return load_config(CONFIG)


def affix_config() -> Config:
    """The second teacher: different features, different errors."""
    config = load_config(CONFIG, {"system.seed": 1, "training.max_steps": 2000})
    config["components"]["tok2vec"]["model"]["embed"] = {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "width": "${components.tok2vec.model.encode.width}",
        "attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE"],
        "rows": [3000, 1000, 1500, 1000],
        "include_static_vectors": False,
    }
    return config


def train_tagger(config: Config, corpus: Path, dev: Path, output: Path) -> Language:
    """Train on the .spacy files of `corpus` (a file or a folder); the state that tags `dev` best is returned."""
    config["paths"] = {"train": str(corpus), "dev": str(dev)}
    output.mkdir()
    with use_ops("numpy", use_blis=False):
        train(init_nlp(config), output)
        return spacy.load(output / "model-best")


def find_conllu(folder: Path, split: str) -> Path:
    """The file of a treebank release that holds a split ("train", "dev" or "test")."""
    files = sorted(folder.glob(f"*-ud-{split}.conllu*"))
    if len(files) != 1:
        raise UserError(f"--ud {folder} has {len(files)} files named *-ud-{split}.conllu*; it must have one.")
    return files[0]


def save(nlp: Language, output: Path) -> None:
    """Write a pipeline without its training configuration and without the words that it met in training."""
    nlp.meta.update(META, performance={})
    for section in ("paths", "corpora", "training", "initialize"):
        nlp.config.pop(section, None)
    shutil.rmtree(output, ignore_errors=True)
    nlp.to_disk(output, exclude=["vocab"])
    nlp.vocab.to_disk(output / "vocab", exclude=["strings", "vectors", "lookups"])
    tagger: Any = nlp.get_pipe("morphologizer")  # spaCy's annotations know of components that they are callable
    labels = set(tagger.labels)
    parts = {part for label in labels for feature in label.split("|") for part in (feature, *feature.split("="))}
    StringStore(sorted(labels | parts)).to_disk(output / "vocab" / "strings.json")


def main() -> None:
    """Train the bundled pipeline from the command line's treebank, captions and WordNet, and write it to --output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ud", type=Path, required=True, help="folder of the treebank")
    parser.add_argument("--captions", type=Path, required=True, help="COCO captions, .json or .json.gz")
    parser.add_argument("--wordnet", type=Path, required=True, help="folder with data.noun, noun.exc, …")
    parser.add_argument("--output", type=Path, required=True, help="folder for the pipeline")
    parser.add_argument("--held-out", type=Path, help="labelled captions whose images are kept out of the training")
    args = parser.parse_args()
    held_out = {row.image_id for row in read_gold(args.held_out)} if args.held_out else set()

    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        corpus, dev = work / "corpus", work / "dev.spacy"
        corpus.mkdir()
        convert(find_conllu(args.ud, "train"), corpus / "treebank.spacy")
        convert(find_conllu(args.ud, "dev"), dev)

        teachers = [
            train_tagger(character_config(), corpus, dev, work / "by-characters"),
            train_tagger(affix_config(), corpus, dev, work / "by-affixes"),
        ]

        sentences = DocBin().from_disk(corpus / "treebank.spacy").get_docs(teachers[0].vocab)
        treebank = Counter((token.lower_, token.pos_) for sentence in sentences for token in sentence)
        captions = read_captions(args.captions, held_out)
        silver = label_captions(captions, teachers, PartsOfSpeech(args.wordnet), treebank)
        silver.to_disk(corpus / "captions.spacy")

        tagger = train_tagger(character_config(), corpus, dev, work / "tagger")
        add_lemmatizer(tagger, args.wordnet)
        save(tagger, args.output)


if __name__ == "__main__":
    main()
