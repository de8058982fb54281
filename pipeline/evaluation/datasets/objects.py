"""The objects of an image, one by one, as far as a data set tells them apart."""

from dataclasses import dataclass

import numpy as np

from pipeline.masks.masks import Masks

Frequency = str
"""How many training images of LVIS show a category: r (rare, up to 10), c (common, up to 100), f (frequent)."""


@dataclass(frozen=True)
class ObjectClasses:
    """What a data set says of its classes, beside their names."""

    things: frozenset[int]
    """The classes whose objects are told apart; the others are stuff."""
    panoptic: bool
    """Every image has `TrueSegments`: PQ."""
    instances: bool
    """Every image has `TrueInstances`: AP."""
    frequencies: tuple[Frequency, ...] | None = None
    """Of each class; None: the data set says nothing of them."""
    most_in_image: int = 100
    """Detections of an image that count where the configuration says nothing: COCO's evaluator has 100, LVIS's 300."""
    most_of_class: int | None = 100
    """Detections of a class in an image that count; None: all."""

    def kinds(self, classes: int) -> dict[str, list[int]]:
        """The classes that PQ is a mean over: all, things and stuff."""
        stuff = [label for label in range(classes) if label not in self.things]
        return {"all": list(range(classes)), "things": sorted(self.things), "stuff": stuff}


@dataclass(frozen=True)
class TrueSegments:
    """S segments of an image, things and stuff, that do not overlap."""

    ids: np.ndarray
    """int32 [H,W]: index of the segment plus one; 0: nobody labelled the pixel."""
    labels: np.ndarray
    """Their classes, int64 [S]."""
    crowd: np.ndarray
    """bool [S]: many objects that nobody took apart. It is neither found nor missed."""
    areas: np.ndarray
    """Pixels that count in the union with a predicted segment, int64 [S]. Those of the segment; in ADE20K also those
    that a thing covers (see `ade20k_150_panoptic`)."""
    other_area: np.ndarray
    """bool [S]: the annotation file states another area than the image has."""


@dataclass(frozen=True)
class TrueInstances:
    """I objects of an image, which may overlap."""

    masks: Masks
    """I masks; one may be empty: it is an object that cannot be found."""
    labels: np.ndarray
    """Their classes, int64 [I]."""
    areas: np.ndarray
    """As the annotations state them, which says whether an object is small or large; pixels, float64 [I]."""
    crowd: np.ndarray
    """bool [I]: see `TrueSegments`."""
    checked: frozenset[int] | None = None
    """The classes that somebody looked for, with or without success; detections of others do not count. None: all."""
    not_exhaustive: frozenset[int] = frozenset()
    """Classes of which not all objects are annotated: detections that match none of these do not count."""
