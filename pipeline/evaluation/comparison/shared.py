"""Which images two evaluations have in common."""

from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.evaluation.comparison.evaluated import Evaluated
from pipeline.evaluation.datasets.contents import changed_images


@dataclass(frozen=True)
class SharedImages:
    """The images that both evaluated, from the same files."""

    image_ids: list[str]
    only_a: int
    only_b: int
    changed: int
    """Images in both whose image or labels are other files."""


def shared_images(a: Evaluated, b: Evaluated) -> SharedImages:
    """Find them.

    Raises:
        UserError: the data sets or their classes differ, or fewer than two images are shared.
    """
    names = [evaluated.result["dataset"]["name"] for evaluated in (a, b)]
    if names[0] != names[1]:
        raise UserError(f"{a.uri} and {b.uri} evaluate different data sets, {names[0]} and {names[1]}")
    if a.classes != b.classes:
        different = next((pair for pair in zip(a.classes, b.classes, strict=False) if pair[0] != pair[1]), None)
        what = f"{len(a.classes)} and {len(b.classes)}" if different is None else " and ".join(map(repr, different))
        raise UserError(f"{a.uri} and {b.uri} have different classes: {what}; evaluate both with the same")
    others = set(b.images)
    both = [image for image in a.images if image in others]
    changed = set(changed_images(a.digests, b.digests))
    image_ids = [image for image in both if image not in changed]
    if len(image_ids) < 2:
        raise UserError(
            f"{a.uri} and {b.uri} share {len(image_ids)} images of {names[0]} ({len(changed)} have changed); a "
            "comparison needs two, and says little below a hundred"
        )
    return SharedImages(image_ids, len(a.images) - len(both), len(b.images) - len(both), len(both) - len(image_ids))
