"""Which tagger runs, how a dataset identifies it, and the data shipped with it."""

import shutil
from pathlib import Path

import pytest
import spacy

from pipeline.errors import UserError
from pipeline.nouns import NounExtractor
from pipeline.nouns.compounds import LEXICON
from pipeline.nouns.tagger import BUNDLED, digest
from pipeline.nouns.words import NOUNS
from pipeline.nouns.words import WORDS as WORD_RULES


def test_identity_says_what_ran(extractor: NounExtractor, single_words: NounExtractor) -> None:
    identity = extractor.identity
    assert identity == NounExtractor("bundled").identity
    assert identity["name"] == "en_caption_nouns"
    assert identity["spacy"] == spacy.__version__
    assert len(identity["sha256"]) == len(identity["compounds_sha256"]) == len(identity["words_sha256"]) == 64
    assert "compounds_sha256" not in single_words.identity  # not read, so it cannot matter


def test_identity_changes_with_any_file(tmp_path: Path, extractor: NounExtractor) -> None:
    copy = tmp_path / "english"
    shutil.copytree(BUNDLED, copy)
    same = NounExtractor(str(copy))
    assert same.identity == extractor.identity
    meta = copy / "meta.json"
    meta.write_text(meta.read_text().replace('"version":"', '"version":"9'))
    changed = NounExtractor(str(copy))
    assert changed.identity["version"].startswith("9")
    assert changed.identity["sha256"] != extractor.identity["sha256"]


def test_digest_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"2")
    digests = [digest(tmp_path)]
    (tmp_path / "b" / "c").rename(tmp_path / "b" / "d")
    digests.append(digest(tmp_path))
    (tmp_path / "b" / "d").write_bytes(b"3")
    digests.append(digest(tmp_path))
    assert len(set(digests)) == 3


def test_auto_takes_what_is_installed(extractor: NounExtractor) -> None:
    expected = "en_core_web_sm" if spacy.util.is_package("en_core_web_sm") else "en_caption_nouns"
    assert NounExtractor().identity["name"] == expected


def test_unknown_pipeline() -> None:
    with pytest.raises(UserError, match=r"nouns\.pipeline.*en_no_such_pipeline"):
        NounExtractor("en_no_such_pipeline")


def test_folder_that_is_no_pipeline(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nouns\.pipeline"):
        NounExtractor(str(tmp_path))


def test_pipeline_without_a_tagger(tmp_path: Path) -> None:
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(UserError, match=r"nouns\.pipeline.*part of speech"):
        NounExtractor(str(tmp_path / "blank"))


def test_shipped_data_is_small_and_licensed() -> None:
    files = [LEXICON, NOUNS, WORD_RULES, *(path for path in BUNDLED.rglob("*") if path.is_file())]
    assert sum(path.stat().st_size for path in files) <= 4 * 1024 * 1024
    notice = (BUNDLED.parent / "NOTICE").read_text(encoding="utf8")
    for source in ("UD_English-EWT", "COCO", "WordNet", "CC BY-SA 4.0", "CC BY 4.0"):
        assert source in notice


def test_lexicon_is_sorted_and_clean() -> None:
    lines = LEXICON.read_text(encoding="utf8").splitlines()
    assert lines == sorted(set(lines))
    assert all(line == " ".join(line.lower().split()) and " " in line for line in lines)
