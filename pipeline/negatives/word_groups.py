"""Lists of words in groups, as text files: what may be said of one thing, and what of another thing only.

A line is a group, with commas between its words ("blue, navy, sky blue"): what one of them is said of, another may be
said of, too, so they never replace one another. A word may be in several groups. The first word of a group is the one
that replaces words of other groups. An empty line ends a section; words of two sections have nothing to do with each
other. A line `@living` or `@lifeless` at the beginning of a section says what it is about, and a line that begins with
`#` is a comment.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from pipeline import storage
from pipeline.errors import UserError

LIVING, LIFELESS = "@living", "@lifeless"


@dataclass(frozen=True)
class Section:
    """Groups of words: the first word of each may take the place of a word of another one."""

    groups: list[list[str]]
    about: str | None = None
    """LIVING or LIFELESS; None: anything."""

    @cached_property
    def _places(self) -> dict[str, set[int]]:
        """The groups of every word."""
        places: dict[str, set[int]] = {}
        for place, group in enumerate(self.groups):
            for word in group:
                places.setdefault(word, set()).add(place)
        return places

    def __contains__(self, word: str) -> bool:
        return word in self._places

    def others(self, words: Iterable[str]) -> list[list[str]]:
        """The groups that hold none of these words, and whose first word is in no group of theirs."""
        alike = {place for word in words for place in self._places.get(word, ())}
        theirs = {word for place in alike for word in self.groups[place]}
        return [group for place, group in enumerate(self.groups) if place not in alike and group[0] not in theirs]


def parse_word_groups(text: str, name: str) -> list[Section]:
    """The sections of a list.

    Args:
        name: of the file, for errors.

    Raises:
        UserError: a line cannot be read.
    """
    sections: list[Section] = []
    groups: list[list[str]] = []
    about = None
    for number, line in enumerate([*text.splitlines(), ""], 1):
        line = " ".join(line.lower().split())
        if line.startswith("#"):
            continue
        if line.startswith("@"):
            if line not in (LIVING, LIFELESS) or groups:
                raise UserError(f"{name}, line {number}: {line!r}; a section may begin with {LIVING} or {LIFELESS}")
            about = line
        elif line:
            words = [word.strip() for word in line.split(",")]
            if not all(words):
                raise UserError(f"{name}, line {number}: {line!r} has a comma without a word before or after it")
            groups.append(words)
        elif groups:
            sections.append(Section(groups, about))
            groups, about = [], None
    return sections


def read_word_groups(uri: str) -> list[Section]:
    """The sections of a file.

    Raises:
        UserError: it is not there, is no text, or has a line that cannot be read.
        OSError: storage cannot be read.
    """
    try:
        text = storage.read_bytes(uri).decode()
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise UserError(f"negatives.kinds: {uri} is no text file that can be read: {error}") from error
    return parse_word_groups(text, uri)
