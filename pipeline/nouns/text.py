"""From a caption as it was found to text that a tagger was trained on, and back."""

import re
import unicodedata

from pipeline.nouns.characters import plain_characters, strip_marks
from pipeline.nouns.mapped_text import MappedText
from pipeline.nouns.markup import (
    decode_percents,
    remove_addresses,
    remove_file_names,
    remove_tags,
    unescape_entities,
)

MAX_CAPTION_LENGTH = 2000

# Whatever is not plain words with a space after each comma and full stop.
_IRREGULAR = re.compile(r"[^A-Za-z0-9 ,.'-]|[,.'-]{2}|[,.](?! |$)|^[ ,.-]|  | $|(?<= )-(?! )|[A-Za-z]-?\d{3}")
# Control characters, and halves of surrogate pairs, which cannot be encoded as UTF-8.
_BREAKS = r"\s\x00-\x1f\x7f-\x9f\ud800-\udfff"
_SPACES = re.compile(rf"[{_BREAKS}]+")
_OUTER_SPACE = re.compile(r"^ | $")
_WORD = re.compile(rf"[^{_BREAKS}]")
# What programs write for a caption that is missing.
_MISSING = re.compile(r"\s*(?:nan|none|null|<na>|#?n/a)\s*", re.I)
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_LATIN_LETTER = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ]")

_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]?")  # t.v.
_LETTER = r"[^\W\d_]"
_ONE_OR_MORE = re.compile(r"(?<=\w)\((?:s|es)\)", re.I)  # ball(s)
_MEANINGLESS = re.compile(r"[|\\^~=_`*@+<>]+")
_PUNCTUATION = re.compile(
    r"[;!?()\[\]{}\"]+|\.{2,}|-{2,}"
    # A full stop ends a sentence, but not "U.S.", "e.g.", "3.5" and "Ph.D.".
    rf"|(?<={_LETTER}{{3}})\.(?=\w)"
    rf"|(?<={_LETTER}{{2}})\.(?=(?:{_LETTER}{{2}}|[aAiI]\b)(?!\.))"
    rf"|(?<=\d)\.(?={_LETTER}{{2}}|[aAiI]\b)|(?<!\S)\.(?={_LETTER}{{2}})"
    r"|(?<=\D)[,:/](?=\w)|(?<=\w)[,:/](?=\D)|^[,:/.]"
    # Not "AT&T", "R&B" and "M&Ms".
    rf"|(?<={_LETTER}{{3}})&(?={_LETTER}{{3}})|(?<!\S)&|&(?!\S)"
    rf"|[$#%](?={_LETTER})|(?<={_LETTER})[$#%]"
    r"|(?<!\S)-"
)


def caption_problem(caption: str, max_length: int = MAX_CAPTION_LENGTH) -> str | None:
    """Why a caption cannot have nouns, as a short code for the rejects table; None if it can.

    "empty": nothing but white space and control characters, or what stands for a missing value ("nan", "N/A").
    "too_long": more than `max_length` characters.
    "no_latin_letters": only emoji, digits, or another script.
    """
    if len(caption) > max_length:
        return "too_long"
    if not _WORD.search(caption) or _MISSING.fullmatch(caption):
        return "empty"
    if not _LATIN_LETTER.search(caption) and not _LATIN_LETTER.search(unicodedata.normalize("NFKC", caption)):
        return "no_latin_letters"
    return None


def tagger_text(caption: str) -> tuple[str, MappedText | None]:
    """The caption as edited text: without markup, addresses and what cannot be seen, with spaces between words and
    after punctuation, and in lower case if it was in capitals or a headline.

    The taggers know edited text: to them a capital begins a name, "ball;a" is a word, and two spaces are a token.
    Returns the text and where its characters come from; None where each is at its position in the caption.
    """
    mapping = None
    text = caption
    if _IRREGULAR.search(caption):
        mapping = _cleaned(caption)
        text = mapping.text
    if text.isupper() or _is_headline(text):
        # Character by character: a few capitals ("İ") have longer lower-case forms, which would shift the rest.
        text = "".join(low if len(low := char.lower()) == 1 else char for char in text)
    return text, mapping


def _cleaned(caption: str) -> MappedText:
    text = MappedText(caption)
    unescape_entities(text)
    plain_characters(text)
    remove_tags(text)
    remove_addresses(text)
    if decode_percents(text):
        plain_characters(text)
        remove_addresses(text)
    remove_file_names(text)
    text.replace(_ONE_OR_MORE, " ")
    text.replace(_MEANINGLESS, " ")
    text.replace(_PUNCTUATION, lambda match: f" {match.group()} ")
    text.replace(_SPACES, " ")
    text.replace(_OUTER_SPACE, "")
    return text


def _is_headline(text: str) -> bool:
    """Whether a Caption Is Written Like This, as Many Alternative Texts of the Web Are."""
    later_words = _LONG_WORD.findall(text)[1:]
    return len(later_words) >= 3 and all(word[0].isupper() for word in later_words)


def noun_name(text: str) -> str | None:
    """What names a noun in the vocabulary: lower-case, NFC, letters, digits, apostrophes, hyphens and single spaces.

    None if a text is no name: it holds other characters, no letter, or is a single letter ("b" of "<b>").
    """
    name = text.lower()
    if not (name.isascii() and name.isalpha()):
        if _ABBREVIATION.fullmatch(name):
            name = name.replace(".", "")
        name = strip_marks(name).strip(" '-")
        if not all(char.isalpha() or char.isdecimal() or char in " '-" for char in name):
            return None
    return name if len(name) > 1 and any(map(str.isalpha, name)) else None
