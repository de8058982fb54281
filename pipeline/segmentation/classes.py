"""The classes to segment: each has one or more names.

They are written in two ways. A list has one entry per class, with its synonyms separated by commas, as ADE20K's own
files write them: `[dog, "sofa, couch"]`. A single text is what people type: the commas are between the classes, and
synonyms are separated by slashes: `dog, sofa/couch`. In a list a slash is part of a name.
"""

from collections.abc import Sequence

from pipeline.errors import UserError
from pipeline.segmentation.fusion import UNLABELLED


def parse_classes(classes: str | Sequence[str], key: str = "classes") -> list[tuple[str, ...]]:
    """The names of each class, from a text ("dog, sofa/couch") or from one string per class ("sofa, couch").

    The first name of a class is the one shown. A name that a class repeats counts once; different classes may share
    synonyms, as ADE20K's do.

    Args:
        key: the configuration key or file that messages name.

    Raises:
        UserError: no classes, more than label maps can tell apart, an empty name, two classes with the same first
            name, or a text with the brackets of a list.
    """
    entries: Sequence[str]
    if isinstance(classes, str):
        entries, separator, advice = _entries(classes, key), "/", "commas between classes, slashes between synonyms"
    else:
        entries, separator, advice = classes, ",", "separate synonyms by single commas"
    if not entries:
        raise UserError(f"{key}: no classes are given; name at least one, such as 'dog' or 'door, double door'")
    if len(entries) > UNLABELLED:
        raise UserError(f"{key}: {len(entries)} classes are given; label maps hold at most {UNLABELLED}")
    parsed: dict[str, tuple[str, ...]] = {}
    for number, entry in enumerate(entries, start=1):
        names = tuple(dict.fromkeys(name.strip() for name in entry.split(separator)))
        if "" in names:
            raise UserError(f"{key}: class {number}, {entry!r}, has an empty name; {advice}")
        if names[0] in parsed:
            raise UserError(f"{key}: two classes are called {names[0]!r}; remove or rename one of them")
        parsed[names[0]] = names
    return list(parsed.values())


def _entries(text: str, key: str) -> list[str]:
    text = text.strip().removesuffix(",")  # people end lists with one
    if text.startswith("[") or text.endswith("]"):
        raise UserError(
            f"{key}: {text!r} is not a list in YAML; quote names with special characters, or write a plain text "
            "without brackets, such as 'dog, sofa/couch'"
        )
    return text.split(",") if text else []
