"""Text from data inside the Markdown that this program writes: it stays text, whatever it is.

Nouns, captions, names of files and reasons come from strangers, and a card is shown on web pages.
"""

import re
import unicodedata

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_SPACES = re.compile(r"\s+")


def escaped(text: object) -> str:
    """Text for a line or a cell of a table: every character of ASCII that could mean something is escaped."""
    return _PUNCTUATION.sub(r"\\\1", _one_line(text))


def code(text: object, *, in_table: bool = False) -> str:
    """Text as code, for paths and settings. In a table, lines between columns are escaped as GitHub wants it."""
    line = _one_line(text) or "–"
    if in_table:
        line = line.replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def _one_line(text: object) -> str:
    """Without line breaks, and without what cannot be seen: control characters, directions of writing, surrogates."""
    visible = (" " if unicodedata.category(character) in _UNSEEN else character for character in str(text))
    return _SPACES.sub(" ", "".join(visible)).strip()


_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
