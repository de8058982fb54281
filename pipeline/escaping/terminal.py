"""Text from data on a terminal: it stays text.

Control characters in captions, names of files and reasons could hide lines, rename the window or type for the user.
"""

import unicodedata


def printable(text: object) -> str:
    """Text with what steers a terminal, or turns the direction of writing, shown as `\\x1b`; lines and tabs stay."""
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def escape(text: object) -> str:
    """Printable text for the tables of rich, which read square brackets as markup: these are escaped, too."""
    from rich import markup  # which errors, that every worker imports, do not need

    return markup.escape(printable(text))


def _shown(character: str) -> str:
    steers = unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") and character not in "\n\t\u200c\u200d"
    return character.encode("unicode_escape").decode() if steers else character
