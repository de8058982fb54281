"""Characters that the tagger knows, for those that captions are written with."""

import re
import unicodedata

from pipeline.nouns.mapped_text import MappedText

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_MARKED = re.compile(f".?[{_MARKS}]+", re.S)
_MARK = re.compile(f"[{_MARKS}]+")
_FILLERS = "\u115f\u1160\u3164\uffa0"  # letters by their category, and nothing to see
_INSTEAD = dict.fromkeys("‘’‛′ʼʻ＇", "'") | dict.fromkeys("‐‑﹣－", "-") | {"\u00b4": "'", "\u200b": " "}


def plain_characters(text: MappedText) -> None:
    """Composed letters, straight apostrophes and hyphens, half-width forms; a space for pictures and symbols; nothing
    for what is not seen: soft hyphens, joiners, marks of direction and byte order."""
    if text.text.isascii():
        return
    text.replace(_MARKED, _composed)
    text.replace(_NOT_ASCII, _plain)


def _composed(match: re.Match[str]) -> str:
    return strip_marks(match.group())


def strip_marks(text: str) -> str:
    """Letters composed with their accents where there is such a letter, and without them where there is none."""
    return _MARK.sub("", unicodedata.normalize("NFC", text))


def _plain(match: re.Match[str]) -> str:
    char = match.group()
    if char in _INSTEAD:
        return _INSTEAD[char]
    category = unicodedata.category(char)
    if category == "Cf" or "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef":
        return ""
    if (category[0] == "L" and char not in _FILLERS) or category == "Nd":
        plain = unicodedata.normalize("NFKC", char)  # "ﬁ", "ｂ" and "𝐛"
        return plain if plain.isalnum() else char
    if category[0] == "P":
        plain = unicodedata.normalize("NFKC", char)
        return f" {plain} " if plain.isascii() else f" {char} "
    return char if category[0] in "MZ" else " "
