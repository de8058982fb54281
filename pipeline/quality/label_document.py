"""The JSON of labels, checked value by value: it may be another's, or edited by hand."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from pipeline.dataset.layout import KEY
from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of

FORMAT, VERSION = "ovseg-labels", 1
AGAIN = "label the pairs again, or take the file as the page saved it"

Answer: TypeAlias = Literal["right", "wrong", "unclear"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)

_MOST_COUNT = 2**53  # larger numbers are not exact in JavaScript
_HEX = "[0-9a-f]{64}"
_ANY = "(?s:.*)"
_SHOWN = 80
"""Characters of a foreign value in a message."""


@dataclass(frozen=True)
class Stratum:
    """A part of the dataset from which the sample was drawn at random."""

    name: str
    pairs: int
    """Of the dataset."""
    drawn: int
    """Of these, pairs of the sample."""


@dataclass(frozen=True)
class Label:
    """What a person says of a pair."""

    key: str
    """Of the pair, in its manifest."""
    noun: str
    stratum: int
    """Index into the strata."""
    answer: Answer


@dataclass(frozen=True)
class Labels:
    """The labels of one sample of one dataset."""

    fingerprint: str
    """Of the dataset's `config.yaml`."""
    manifests_sha256: str
    """SHA-256 over the hexadecimal SHA-256 of all manifests, in the order of their shards."""
    strata: tuple[Stratum, ...]
    labels: tuple[Label, ...]
    """Each pair once."""
    sha256: str
    """Of the file."""
    uri: str = ""
    """Of the file, for messages."""
    dataset_uri: str = ""
    """Of the dataset, as the page had it; it may have been moved since."""
    seed: int = 0
    """By which the sample was drawn."""
    repeated: int = 0
    """Entries of the file that say again what another one says."""

    @property
    def remarks(self) -> list[str]:
        """What a reader of the labels should be told."""
        if not self.repeated:
            return []
        return [f"{self.uri}: {self.repeated} labels stand there twice with the same answer; each counts once"]


def parse_labels(data: bytes, uri: str) -> Labels:
    """The labels in a JSON text.

    Args:
        uri: the file that holds it, for messages.

    Raises:
        UserError: it holds something else, is of another version, or contradicts itself; says where.
    """
    try:
        return _labels(_document(data), data, uri)
    except _Wrong as wrong:
        raise UserError(f"{uri}: {wrong}; {AGAIN}") from wrong


class _Wrong(Exception):
    """What is wrong with the labels."""


def _document(data: bytes) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise _Wrong(f"an object has {_quoted(name)} twice")
            found[name] = value
        return found

    def no_number(text: str) -> None:
        raise _Wrong(f"it holds {text}, which is no number of JSON")

    try:
        return json.loads(data, object_pairs_hook=unique, parse_constant=no_number)
    except (ValueError, RecursionError) as error:  # ValueError: also of a number of thousands of digits
        raise _Wrong(f"no JSON: {str(error)[:200]}") from error


def _labels(document: Any, data: bytes, uri: str) -> Labels:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _Wrong(f"it holds no labels: its format is not {FORMAT!r}")
    if (version := _count(document, "version")) != VERSION:
        raise _Wrong(f"version is {version}, and this program reads {VERSION}")
    dataset, sample = _member(document, "dataset", dict), _member(document, "sample", dict)
    listed = _member(sample, "strata", list, "sample.")
    strata = tuple(_stratum(value, f"sample.strata[{index}]") for index, value in enumerate(listed))
    labels: dict[str, Label] = {}
    entries = _member(document, "labels", list)
    for index, value in enumerate(entries):
        label = _label(value, f"labels[{index}]", len(strata))
        if (other := labels.setdefault(label.key, label)) != label:
            raise _Wrong(f"labels[{index}] says of {label.key} {_told(label)}, another label says {_told(other)}")
    _check_sizes(strata, labels)
    return Labels(
        fingerprint=_text(dataset, "fingerprint", "dataset.", _HEX),
        manifests_sha256=_text(dataset, "manifests_sha256", "dataset.", _HEX),
        strata=strata,
        labels=tuple(labels.values()),
        sha256=hashlib.sha256(data).hexdigest(),
        uri=uri,
        dataset_uri=_text(dataset, "uri", "dataset."),
        seed=_count(sample, "seed", "sample."),
        repeated=len(entries) - len(labels),
    )


def _stratum(value: Any, where: str) -> Stratum:
    entry, place = _object(value, where), f"{where}."
    stratum = Stratum(_text(entry, "name", place), _count(entry, "pairs", place), _count(entry, "drawn", place))
    if not 1 <= stratum.drawn <= stratum.pairs:
        raise _Wrong(f"of {where} {stratum.drawn} pairs were drawn, of {stratum.pairs}")
    return stratum


def _label(value: Any, where: str, strata: int) -> Label:
    entry, place = _object(value, where), f"{where}."
    key, noun = _text(entry, "key", place, KEY), _text(entry, "noun", place)
    if (stratum := _count(entry, "stratum", place)) >= strata:
        raise _Wrong(f"{place}stratum is {stratum}, and there are {strata} strata")
    answer = entry.get("answer")
    if not isinstance(answer, str) or answer not in ANSWERS:
        raise _Wrong(f"{place}answer is {_quoted(answer)}, not one of {', '.join(ANSWERS)}")
    return Label(key, noun, stratum, answer)


def _check_sizes(strata: tuple[Stratum, ...], labels: dict[str, Label]) -> None:
    labelled = [0] * len(strata)
    for label in labels.values():
        labelled[label.stratum] += 1
    counts = enumerate(zip(strata, labelled, strict=True))
    more = [
        f"{n} of stratum {h}, of which {stratum.drawn} were drawn" for h, (stratum, n) in counts if n > stratum.drawn
    ]
    if more:
        raise _Wrong(f"it has more labels than pairs were drawn: {first_of(more, 3)}")


def _told(label: Label) -> str:
    return f"{label.answer} ({_quoted(label.noun)}, stratum {label.stratum})"


def _object(value: Any, where: str) -> dict:
    if not isinstance(value, dict):
        raise _Wrong(f"{where} is {_quoted(value)}, not an object")
    return value


def _member(entry: dict, name: str, kind: type, where: str = "") -> Any:
    if not isinstance(value := entry.get(name), kind):
        raise _Wrong(f"{where}{name} is {_quoted(value)}, not {'an object' if kind is dict else 'a list'}")
    return value


def _text(entry: dict, name: str, where: str, pattern: str = _ANY) -> str:
    value = entry.get(name)
    # Halves of surrogate pairs, which JSON can name, are no text that could be written anywhere.
    if not isinstance(value, str) or not re.fullmatch(pattern, value) or re.search("[\ud800-\udfff]", value):
        raise _Wrong(f"{where}{name} is {_quoted(value)}")
    return value


def _count(entry: dict, name: str, where: str = "") -> int:
    value = entry.get(name)
    if type(value) is not int or not 0 <= value < _MOST_COUNT:
        raise _Wrong(f"{where}{name} is {_quoted(value)}, not a whole number")
    return value


def _quoted(value: Any) -> str:
    if value is None:
        return "missing or null"
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return ascii(value[:_SHOWN] + "…" if isinstance(value, str) and len(value) > _SHOWN else value)[: 2 * _SHOWN]
