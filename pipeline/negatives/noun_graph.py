"""The part of WordNet's graph that captions use: which nouns are near to a noun, and which may name the same thing."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

GRAPH = Path(__file__).with_name("noun_graph.txt")
"""Built by `pipeline.negatives.build_graph`, which describes it."""
SENSES = Path(__file__).with_name("senses.txt")
GENERAL = Path(__file__).with_name("general.txt")
BROAD = Path(__file__).with_name("broad.txt")

_LAST_SENSE = 4
"""A word whose first sense of a thing comes later names a thing too seldom."""
_MOST_BELOW, _MOST_BELOW_NAMELESS = 270, 140
"""Nouns below what two nouns share. Of furniture there are 85, of mammals 141, of containers 247. What captions have no
noun for is less of a kind: of "natural objects" there are 258."""
_FARTHEST, _FEW = 3, 3
"""Most steps up to what two nouns share, the third one only where there are fewer: bus and train are means of transport
(1), dog and bear are carnivores (2), cow and goat, of which no others are as near, are bovids (3)."""
_ENDINGS = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""), ("men", "man"))


class Sibling(NamedTuple):
    """A noun that shares a hypernym with another one."""

    noun: str
    distance: int
    """Steps up from the other one to what they share, from 1."""
    in_captions: bool
    """Whether captions name it; else it is a rarer word."""


def read_lines(path: Path) -> list[str]:
    """The lines of a word list, without comments and empty ones."""
    lines = path.read_text(encoding="utf8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


class NounGraph:
    """Synsets, by the line on which they stand, and what is above them."""

    def __init__(self, lines: Iterable[str], senses: dict[str, int], general: Iterable[str], broad: Iterable[str]):
        """
        Args:
            lines: as of `GRAPH`.
            senses: of nouns whose first sense is not the usual one, the number of that, 0 if it is not there.
            general: nouns that replace no other.
            broad: nouns of which two kinds are no siblings.
        """
        self._general, self._usual = frozenset(general), senses
        broad = frozenset(broad)
        self._senses: dict[str, dict[int, int]] = {}
        self._in_captions: set[str] = set()
        self._nouns: list[list[str]] = []
        self._above: list[frozenset[int]] = []
        self._parents: list[list[int]] = []
        for number, line in enumerate(lines):
            nouns, _, parents = line.partition("\t")
            self._nouns.append([])
            for entry in nouns.split(",") if nouns else ():
                noun, _, sense = entry.partition(":")
                self._senses.setdefault(noun, {})[int(sense.rstrip("-"))] = number
                if not sense.endswith("-"):
                    self._in_captions.add(noun)
                self._nouns[-1].append(noun)
            self._parents.append([int(parent) for parent in parents.split()])
            self._above.append(frozenset(self._parents[-1]).union(*(self._above[above] for above in self._parents[-1])))
        self._below: list[list[int]] = [[] for _ in self._nouns]
        named_below = [0] * len(self._nouns)
        for number, parents_of_it in enumerate(self._parents):
            for parent in parents_of_it:
                self._below[parent].append(number)
            for above in self._above[number] if self._nouns[number] else ():
                named_below[above] += 1
        self._tells = [
            count <= (_MOST_BELOW if nouns else _MOST_BELOW_NAMELESS) and broad.isdisjoint(nouns)
            for count, nouns in zip(named_below, self._nouns, strict=True)
        ]
        self._main = {noun: found for noun in self._senses if (found := self._main_sense(noun, senses)) is not None}
        self._siblings: dict[str, list[Sibling]] = {}

    def _main_sense(self, noun: str, senses: dict[str, int]) -> int | None:
        if noun in senses:
            return self._senses[noun].get(senses[noun])
        first = min(self._senses[noun])
        return self._senses[noun][first] if first <= _LAST_SENSE else None

    def known(self, noun: str) -> str | None:
        """How the graph has a noun: as it is, in the singular, or its last word alone ("picnic table")."""
        for words in (noun, noun.rpartition(" ")[2]):
            if words in self._senses:
                return words
            for ending, singular in _ENDINGS:
                if words.endswith(ending) and (found := words.removesuffix(ending) + singular) in self._senses:
                    return found
        return None

    def is_below(self, noun: str, above: str) -> bool:
        """Whether a noun, in its usual sense, names a kind of what another one does."""
        known = self.known(noun)
        main = None if known is None else self._main.get(known)
        return main is not None and self._main[above] in {main, *self._above[main]}

    def siblings(self, noun: str) -> list[Sibling]:
        """The nouns that share a hypernym with a noun, in the usual sense of both, the nearest first."""
        known = self.known(noun)
        if known is None or known not in self._main or known in self._general:
            return []
        if known not in self._siblings:
            self._siblings[known] = self._find_siblings(self._main[known])
        return self._siblings[known]

    def _find_siblings(self, synset: int) -> list[Sibling]:
        found: dict[str, Sibling] = {}
        level = {synset}
        for distance in range(1, _FARTHEST + 1):
            if distance == _FARTHEST and len(found) >= _FEW:
                break
            level = {parent for number in level for parent in self._parents[number]}
            for shared in level:
                for near in self._down(shared, distance + 1) if self._tells[shared] else ():
                    if near == synset or near in self._above[synset] or synset in self._above[near]:
                        continue
                    for noun in self._nouns[near]:
                        if self._main.get(noun) == near and self._may_replace(noun):
                            found.setdefault(noun, Sibling(noun, distance, noun in self._in_captions))
        return sorted(found.values(), key=lambda sibling: (sibling.distance, sibling.noun))

    def _may_replace(self, noun: str) -> bool:
        """Whether a noun means mostly the thing: it is its first sense, or captions are known to use it so."""
        return noun not in self._general and (noun in self._usual or 1 in self._senses[noun])

    def _down(self, synset: int, steps: int) -> set[int]:
        below = set(self._below[synset])
        return below.union(*(self._down(number, steps - 1) for number in below)) if steps > 1 else below

    def line_of(self, nouns: Iterable[str]) -> "Line":
        """What stands above and below some nouns, in all of their senses."""
        forms = {form for noun in nouns for form in (self.known(noun), self.known(noun.rpartition(" ")[2])) if form}
        own = {synset for form in forms for synset in self._senses[form].values()}
        return Line(self, own)


class Line:
    """Synsets, and all that is above or below one of them."""

    def __init__(self, graph: NounGraph, synsets: set[int]):
        self._graph, self._own = graph, synsets
        self._own_and_above = synsets.union(*(graph._above[synset] for synset in synsets))

    def __contains__(self, noun: str) -> bool:
        """Whether a noun of the graph is, in one of its senses, a synonym, a hypernym or a hyponym."""
        senses = self._graph._senses.get(noun, {}).values()
        return any(
            synset in self._own_and_above or not self._own.isdisjoint(self._graph._above[synset]) for synset in senses
        )


@cache
def noun_graph() -> NounGraph:
    """The graph that ships."""
    senses = {noun: int(number) for noun, _, number in (line.rpartition(" ") for line in read_lines(SENSES))}
    general, broad = (
        {noun.strip() for line in read_lines(path) for noun in line.split(",")} for path in (GENERAL, BROAD)
    )
    return NounGraph(GRAPH.read_text(encoding="utf8").splitlines(), senses, general, broad)
