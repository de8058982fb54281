"""Text that is changed step by step and still knows where each of its characters comes from."""

import re
from collections.abc import Callable


class MappedText:
    """A text made from a caption: character i stands for `caption[starts[i] : ends[i]]`."""

    def __init__(self, caption: str) -> None:
        self.text = caption
        self.starts = list(range(len(caption)))
        self.ends = list(range(1, len(caption) + 1))

    def replace(self, pattern: re.Pattern[str], by: str | Callable[[re.Match[str]], str]) -> bool:
        """Put `by` in the place of every match; returns whether anything changed.

        Where old and new are of one length, character stands for character; else each new one for the whole match.
        """
        done = 0
        pieces: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for match in pattern.finditer(self.text):
            first, last = match.span()
            new = by if isinstance(by, str) else by(match)
            if new == match.group():
                continue
            pieces += self.text[done:first], new
            starts += self.starts[done:first]
            ends += self.ends[done:first]
            if len(new) == last - first:
                starts += self.starts[first:last]
                ends += self.ends[first:last]
            else:
                starts += [self.starts[first]] * len(new)
                ends += [self.ends[last - 1]] * len(new)
            done = last
        if not done:
            return False
        self.text = "".join(pieces) + self.text[done:]
        self.starts = starts + self.starts[done:]
        self.ends = ends + self.ends[done:]
        return True
