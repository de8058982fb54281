"""The classes to segment: each has one or more names."""

from collections.abc import Sequence

from pipeline.errors import UserError
from pipeline.segmentation.fusion import UNLABELLED


def parse_classes(lines: Sequence[str], key: str = "classes") -> list[tuple[str, ...]]:
    """Classes from one string each, whose synonyms are separated by commas, as ADE20K's own files write them.

    The first name of a class is the one shown. A name that a class repeats counts once; different classes may share
    synonyms, as ADE20K's do.

    Args:
        key: the configuration key or file that messages name.

    Raises:
        UserError: no classes, more than label maps can tell apart, an empty name, or two classes with the same first
            name.
    """
    if not lines:
        raise UserError(f"{key}: no classes are given; name at least one, such as 'dog' or 'door, double door'")
    if len(lines) > UNLABELLED:
        raise UserError(f"{key}: {len(lines)} classes are given; label maps hold at most {UNLABELLED}")
    classes: dict[str, tuple[str, ...]] = {}
    for place, line in enumerate(lines, start=1):
        names = tuple(dict.fromkeys(name.strip() for name in line.split(",")))
        if "" in names:
            raise UserError(f"{key}: class {place}, {line!r}, has an empty name; separate synonyms by single commas")
        if names[0] in classes:
            raise UserError(f"{key}: two classes are called {names[0]!r}; remove or rename one of them")
        classes[names[0]] = names
    return list(classes.values())
