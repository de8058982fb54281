"""From a caption as it was found to text that a tagger was trained on, and back."""

import re

MAX_CAPTION_LENGTH = 2000

# Control characters, and halves of surrogate pairs, which cannot be encoded as UTF-8.
_BREAKS = r"\s\x00-\x1f\x7f-\x9f\ud800-\udfff"
_IRREGULAR = re.compile(rf"^[{_BREAKS}]|[{_BREAKS}]{{2}}|[{_BREAKS}]$|(?! )[{_BREAKS}]")
_WORD = re.compile(rf"[^{_BREAKS}]+")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_LATIN_LETTER = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ]")


def caption_problem(caption: str, max_length: int = MAX_CAPTION_LENGTH) -> str | None:
    """Why a caption cannot have nouns, as a short code for the rejects table; None if it can.

    "empty": nothing but white space and control characters. "too_long": more than `max_length` characters.
    "no_latin_letters": only emoji, digits, or another script.
    """
    if len(caption) > max_length:
        return "too_long"
    if not _WORD.search(caption):
        return "empty"
    if not _LATIN_LETTER.search(caption):
        return "no_latin_letters"
    return None


def tagger_text(caption: str) -> tuple[str, list[int] | None]:
    """The caption with single spaces, no control characters, and in lower case if it was in capitals or a headline.

    The taggers know edited text: to them a capital begins a name, and two spaces are a token. Returns the text
    and, for each of its characters, the index of that character in the caption; None where both are the same.
    """
    places = None
    text = caption
    if _IRREGULAR.search(caption):
        words = list(_WORD.finditer(caption))
        text = " ".join(word.group() for word in words)
        places = []
        for word in words:
            places.extend(range(word.start(), word.end() + 1))  # the last one: the space after it
        del places[len(text) :]
    if text.isupper() or _is_headline(text):
        # Character by character: a few capitals ("İ") have longer lower-case forms, which would shift the rest.
        text = "".join(low if len(low := char.lower()) == 1 else char for char in text)
    return text, places


def _is_headline(text: str) -> bool:
    """Whether a Caption Is Written Like This, as Many Alternative Texts of the Web Are."""
    later_words = _LONG_WORD.findall(text)[1:]
    return len(later_words) >= 3 and all(word[0].isupper() for word in later_words)
