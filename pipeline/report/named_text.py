"""What a pair is called on a page: its phrase where it has one, else its noun."""

from collections.abc import Mapping


def named_text(details: Mapping) -> str:
    """The phrase or noun of a sample, from its `KEY.json` (or of a row of a table)."""
    return details.get("phrase") or details["noun"]


def marked_caption(details: Mapping) -> tuple[str, str, str]:
    """The caption up to that text, the text as it stands there, and the rest. Cut in Python: characters are counted
    differently in JavaScript.
    """
    name = "phrase" if details.get("phrase") else "char"
    caption, start, end = details["caption"], details[f"{name}_start"], details[f"{name}_end"]
    return str(caption[:start]), str(caption[start:end]), str(caption[end:])
