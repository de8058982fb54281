"""What the tagger, the compounds and their scores are made with."""

from pathlib import Path

import pytest
import spacy

from pipeline.nouns.training.compounds import build, read_reviewed
from pipeline.nouns.training.corpus import read_conllu, to_doc
from pipeline.nouns.training.evaluate import LabelledCaption, score_captions
from pipeline.nouns.training.wordnet import PartsOfSpeech


def test_scores_count_as_described() -> None:
    gold = [
        LabelledCaption(1, "", ["man", "dog", "dog"]),
        LabelledCaption(2, "", ["glass|glasses", "?twin", "cup"]),
    ]
    # Right: man, dog, glasses. Found: those, one cat; twin does not count. Wanted: 5.
    scores = score_captions(gold, [["dog", "man", "cat"], ["twin", "glasses"]])
    assert scores == pytest.approx((100 * 3 / 4, 100 * 3 / 5, 100 * 2 * 3 / 9))


def test_treebank_sentences_keep_their_spaces(tmp_path: Path) -> None:
    lines = [
        "# text = Two dogs don't bark.",
        "1\tTwo\ttwo\tNUM\tCD\tNumForm=Word\t2\tnummod\t_\t_",
        "2\tdogs\tdog\tNOUN\tNNS\tNumber=Plur\t5\tnsubj\t_\t_",
        "3-4\tdon't\t_\t_\t_\t_\t_\t_\t_\t_",
        "3\tdo\tdo\tAUX\tVBP\tNumber=Plur\t5\taux\t_\t_",
        "4\tn't\tnot\tPART\tRB\t_\t5\tadvmod\t_\t_",
        "5\tbark\tbark\tVERB\tVB\t_\t0\troot\t_\tSpaceAfter=No",
        "5.1\tbark\tbark\tVERB\tVB\t_\t_\t_\t_\t_",
        "6\t.\t.\tPUNCT\t.\t_\t5\tpunct\t_\t_",
        "",
    ]
    path = tmp_path / "tiny.conllu"
    path.write_text("\n".join(lines) + "\n", encoding="utf8")
    [rows] = read_conllu(path)
    doc = to_doc(rows, spacy.blank("en").vocab)
    assert doc.text == "Two dogs don't bark. "
    assert [token.pos_ for token in doc] == ["NUM", "NOUN", "AUX", "PART", "VERB", "PUNCT"]
    assert [str(token.morph) for token in doc] == ["", "Number=Plur", "", "", "", ""]


@pytest.fixture
def tiny_wordnet(tmp_path: Path) -> Path:
    """Files in WordNet's format: two lines of licence, then entries."""
    licence = "  1 This software\n  2 and database\n"
    indexes = {
        "noun": [
            "bear",
            "bike",
            "board",
            "color",
            "dog",
            "ga",
            "gas",
            "hydrant",
            "fire",
            "man",
            "woman",
            "motorbike",
            "motor",
        ],
        "verb": ["board", "ride"],
        "adj": ["black", "hot"],
        "adv": [],
    }
    for part, words in indexes.items():
        (tmp_path / f"index.{part}").write_text(licence + "".join(f"{word} x 1\n" for word in words))
        (tmp_path / f"{part}.exc").write_text("men man\n" if part == "noun" else "")
    entries = [  # number, lexicographer file (6: artifact, 5: animal, 13: food, 18: person), n, count, word, id, …
        "001 06 n 02 fire_hydrant 0 fireplug 0 001 @ 1 n 0000 | a",
        "002 06 n 01 motorbike 0 000 | b",
        "003 13 n 01 hot_dog 0 000 | c",
        "004 18 n 01 hot_man 0 000 | d",
        "005 05 n 01 black_bear 0 000 | e",
        "006 05 n 01 black_dog 0 000 | f",
        "007 18 n 01 Fire_Man 0 001 @i 1 n 0000 | a name",
        "008 06 n 01 man_of_fire 0 000 | g",
        "009 23 n 01 fire_color 0 000 | h",
    ]
    (tmp_path / "data.noun").write_text(licence + "\n".join(entries) + "\n")
    return tmp_path


def test_lexicon_from_wordnet(tiny_wordnet: Path) -> None:
    added = set(build(tiny_wordnet)) - read_reviewed()
    assert added == {"fire hydrant", "hot dog", "black bear"}
    # "motor bike" comes from splitting "motorbike"; it is also in the reviewed list.
    assert "motor bike" in build(tiny_wordnet)


def test_parts_of_speech_from_wordnet(tiny_wordnet: Path) -> None:
    can_be = PartsOfSpeech(tiny_wordnet)
    assert can_be("boards") == {"NOUN", "VERB"}
    assert can_be("riding") == {"VERB", "ADJ"}
    assert can_be("hotter") == frozenset()  # doubled consonants are not among the endings
    assert can_be("men") == {"NOUN"}
    assert can_be("frisbee") == frozenset()
    seen = {"color", "gas"}
    plurals = {
        "colors": True,
        "gas": False,
        "men": True,
        "pants": False,
        "frisbees": True,
        "glass": False,
        "women": True,
    }
    assert {noun: can_be.is_plural(noun, seen) for noun in plurals} == plurals
