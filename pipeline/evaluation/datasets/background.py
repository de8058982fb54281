"""The class of what is none of the other classes, in data sets that have one.

CLIP has to be asked for it by some name, and the class wins besides where no class is likely enough. SCLIP (arXiv
2312.01597, github.com/wangf3014/SCLIP) asks by a list of what is usually behind objects and has the threshold 0.1;
ProxyCLIP (github.com/mc-lan/ProxyCLIP) keeps the list, ClearCLIP (github.com/mc-lan/ClearCLIP) asks by "background",
with thresholds of 0.15 to 0.5. All of it: the first lines of configs/cls_*.txt, and `prob_thd` in configs/cfg_*.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.evaluation.datasets.config import DatasetConfig

BEHIND_OBJECTS = (
    "sky", "wall", "tree", "wood", "grass", "road", "sea", "river", "mountain", "sands", "desk", "bed", "building",
    "cloud", "lamp", "door", "window", "wardrobe", "ceiling", "shelf", "curtain", "stair", "floor", "hill", "rail",
    "fence",
)  # fmt: skip
"""SCLIP's names of the background of VOC, configs/cls_voc21.txt."""


@dataclass(frozen=True)
class Background:
    """Which class it is; pixels that no mask covers belong to it too."""

    label: int
    name: str = "background"
    """To show in tables; the names that CLIP is asked by stand in the data set's classes."""
    threshold: float = 0.0
    """Regions of which no class has this probability, by CLIP, are background."""


def background_of(
    config: DatasetConfig,
    names: Sequence[str],
    label: int,
    classes: Sequence[tuple[str, ...]],
    shown: str = "background",
) -> tuple[Background, list[tuple[str, ...]]]:
    """The background of a data set, and all classes with it among them.

    Args:
        names: that CLIP is asked by, if the configuration has none. Those that a class has are left out: SCLIP asks for
            the background of COCO-Object by "bed" too, which is one of its classes and could then never win.
        label: which class the background is.
        classes: the names of the others, in order.
        shown: its name in tables.

    Raises:
        UserError: the configuration has no names, an empty one, or one that a class has.
    """
    taken = {name for other in classes for name in other}
    if config.background is None:
        asked = tuple(name for name in names if name not in taken)
    else:
        asked = tuple(dict.fromkeys(name.strip() for name in config.background))
        if "" in asked or not asked:
            raise UserError("dataset.background: it needs at least one name, and none that is empty")
        if both := [name for name in asked if name in taken]:
            raise UserError(
                f"dataset.background: {first_of(both, 3)} is also a name of a class of {config.kind}; it cannot be both"
            )
    return Background(label, shown, config.background_threshold), [*classes[:label], asked, *classes[label:]]
