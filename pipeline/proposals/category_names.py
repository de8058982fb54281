"""The names by which the categories of annotations are asked for."""

import hashlib
from collections.abc import Iterable, Sequence

from pipeline import storage
from pipeline.errors import UserError
from pipeline.storage.documents import parse_json

_KEY = "proposals.options.synonyms"


class CategoryNames:
    """The name of each category, and its synonyms. Upper and lower case are the same, as is white space around.

    A phrase means what its last words name, as many of them as are a name: a "red bus" is a bus, and a "chili hot dog"
    is no dog.
    """

    def __init__(self, categories: Iterable[str]) -> None:
        self._names = {category: {_plain(category)} for category in categories}
        self._known: set[str] = set().union(*self._names.values())

    def add_synonyms(self, uri: str) -> str:
        """Take the synonyms of a JSON file: `{"couch": ["sofa", "settee"]}`. Returns its SHA-256.

        Categories that the annotations do not have are passed over: a file may be for several data sets.

        Raises:
            UserError: there is no such file, it is something else, or names no category that the annotations have.
            OSError: storage cannot be read.
        """
        try:
            text = storage.read_bytes(uri)
        except FileNotFoundError:
            raise UserError(f"{_KEY}: there is no file {uri}") from None
        by_plain = {_plain(category): category for category in self._names}
        any_known = False
        for category, names in parse_json(text, uri).items():
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise UserError(f"{_KEY}: {uri}: the synonyms of {category!r} are not a list of texts")
            if known := by_plain.get(_plain(category)):
                any_known = True
                self._names[known].update(map(_plain, names))
                self._known.update(self._names[known])
        if not any_known:
            first = next(iter(self._names), None)
            raise UserError(f"{_KEY}: {uri} names none of the annotated categories, which are called {first!r} and so")
        return hashlib.sha256(text).hexdigest()

    def among(self, category: str, names: Sequence[str]) -> list[str]:
        """Those of the names that mean this category."""
        return [name for name in names if self._meant(name) in self._names[category]]

    def _meant(self, name: str) -> str | None:
        """The longest name that a phrase ends with, of any category."""
        words = _plain(name).split(" ")
        ends = (" ".join(words[first:]) for first in range(len(words)))
        return next((end for end in ends if end in self._known), None)


def _plain(name: str) -> str:
    return name.strip().casefold()
