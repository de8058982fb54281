"""Classes of a data set beside the mined pairs that name them: did those gain that got more?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ClassChange:
    """What became of a class, and of the pairs whose noun is one of its names."""

    name: str
    iou_a: float
    """IoU in the first evaluation, 0..1."""
    iou_b: float
    nouns: tuple[str, ...]
    """Mined nouns that are one of its names, sorted."""
    pairs_a: int
    """Pairs of these nouns in the first dataset."""
    pairs_b: int

    @property
    def gain(self) -> float:
        """Change of the IoU."""
        return self.iou_b - self.iou_a

    @property
    def pairs_gained(self) -> int:
        """Change of the pairs."""
        return self.pairs_b - self.pairs_a


@dataclass(frozen=True)
class SignAgreement:
    """Of the classes whose IoU and pairs both changed: in how many both changed in one direction. A count, no cause."""

    alike: int
    changed: int
    """Classes of which both changed."""


def class_changes(
    classes: Sequence[tuple[str, ...]],
    ious_a: Mapping[int, float],
    ious_b: Mapping[int, float],
    nouns: Sequence[Mapping],
) -> list[ClassChange]:
    """Every class with an IoU in both evaluations, the one that lost most first.

    Args:
        classes: the names of each class, by label.
        ious_a, ious_b: by label.
        nouns: rows of `schemas.NOUN_DIFFERENCES`.
    """
    by_noun = {row["noun"]: row for row in nouns}
    named = nouns_of_classes(classes, by_noun)
    found = []
    for label in sorted(ious_a.keys() & ious_b.keys()):
        rows = [by_noun[noun] for noun in named[label]]
        found.append(
            ClassChange(
                classes[label][0],
                ious_a[label],
                ious_b[label],
                named[label],
                sum(row["pairs_a"] for row in rows),
                sum(row["pairs_b"] for row in rows),
            )
        )
    return sorted(found, key=lambda change: (change.gain, change.name))


def sign_agreement(changes: Sequence[ClassChange]) -> SignAgreement:
    """Count in how many classes IoU and pairs changed in one direction."""
    both = [change for change in changes if change.gain and change.pairs_gained]
    return SignAgreement(sum((change.gain > 0) == (change.pairs_gained > 0) for change in both), len(both))


def nouns_of_classes(classes: Sequence[tuple[str, ...]], nouns: Iterable[str]) -> list[tuple[str, ...]]:
    """The nouns that are one of the names of each class, sorted; singular and plural are one.

    Args:
        classes: the names of each class, by label.
    """
    by_form: dict[str, list[str]] = {}
    for noun in nouns:
        by_form.setdefault(singular(noun), []).append(noun)
    forms = (dict.fromkeys(singular(name) for name in names) for names in classes)
    return [tuple(sorted(noun for form in of_class for noun in by_form.get(form, []))) for of_class in forms]


def singular(name: str) -> str:
    """The name of a class or a noun in lower case, its last word as a dictionary has it: "traffic lights" is "traffic
    light", "bus" stays.
    """
    from pipeline.nouns.words import dictionary_form  # which brings in spaCy

    words = name.lower().replace("_", " ").replace("-", " ").split()
    return " ".join([*words[:-1], dictionary_form(words[-1], words[-1])]) if words else ""
