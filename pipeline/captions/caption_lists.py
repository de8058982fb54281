"""Several captions in one text field, as other programs write lists into CSV, TSV and text columns."""

import ast
import json
import re

_STRING = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
# Commas, as Python writes lists; or white space alone, as NumPy does.
_ITEM = rf"(?:{_STRING}|None\b|nan\b)"
_LITERALS = re.compile(rf"\[\s*(?:{_ITEM}\s*(?:,\s*|(?=[\]'\"])))*\]", re.DOTALL)
_TUPLE = re.compile(rf"\(\s*{_ITEM}\s*,\s*(?:{_ITEM}\s*(?:,\s*{_ITEM}\s*)*,?\s*)?\)", re.DOTALL)
_LITERAL = re.compile(_ITEM, re.DOTALL)

LIST_LIKE = r"^\s*[\[{(]"
"""A regular expression for texts that `captions_in` has to look at."""


def captions_in(text: str) -> list[str | None] | None:
    """The captions that a text lists; None if the text is itself a caption.

    Lists are those of JSON (`["a", "b"]`), of Python (`['a', 'b']`, `('a', 'b')`) and of NumPy (`['a' 'b']`), if they
    are the whole text. A null, None or nan in a list is a missing caption. `[removed]` and `("a")` are captions.

    Raises:
        ValueError: it is a list or an object, but not a list of texts.
    """
    stripped = text.strip()
    if _TUPLE.fullmatch(stripped):
        return _literals(stripped)
    if not stripped.startswith(("[", "{")) or not stripped.endswith(("]", "}")):
        return None
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        return _python_list(stripped)
    if not isinstance(value, list) or not all(isinstance(item, str | None) for item in value):
        raise ValueError("JSON, but not a list of texts")
    return [item and item.encode(errors="replace").decode() for item in value]


def _python_list(text: str) -> list[str | None] | None:
    if not _LITERALS.fullmatch(text):
        if re.match(r"""\[\s*["']|\{\s*["']""", text):
            raise ValueError("begins as a list or an object of texts, but is not a list of texts")
        return None
    return _literals(text)


def _literals(text: str) -> list[str | None]:
    found = _LITERAL.findall(text)
    try:
        captions = [None if item in ("None", "nan") else ast.literal_eval(item) for item in found]
    except (ValueError, SyntaxError, MemoryError) as error:
        raise ValueError("a list with a text that cannot be read") from error
    return [caption and caption.encode(errors="replace").decode() for caption in captions]
