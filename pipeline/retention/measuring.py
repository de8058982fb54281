"""One CLIP on one set of whole images, in this process or in all of a process group; for training and interpolation."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from pipeline.clip import Clip
from pipeline.retention.classification import accuracies, classify, embed_classes
from pipeline.retention.config import RetentionConfig, Task
from pipeline.retention.encoding import encode_images, reason_of
from pipeline.retention.retrieval import embed_captions, recalls
from pipeline.retention.sets import CaptionedImages, ClassifiedImages


@dataclass(frozen=True)
class Measured:
    """What a CLIP knows of a set."""

    name: str
    """Of the set."""
    task: Task
    scores: dict[str, float | None]
    """Shares, 0..1, by name: those of `accuracies` or of `recalls`."""
    images: int
    """Images that could be used."""
    rejected: dict[str, int]
    """Of the others, how many for which reason."""

    @property
    def main(self) -> float | None:
        """The figure that stands for the set, see `main_score`."""
        return main_score(self.task, self.scores)


def main_score(task: Task, scores: dict[str, float | None]) -> float | None:
    """What stands for a set: top 1, or the mean of recall at 1 both ways. None without images."""
    chosen = [scores[name] for name in MAIN[task]]
    return None if None in chosen else float(np.mean(chosen))  # type: ignore[arg-type]


MAIN: dict[Task, tuple[str, ...]] = {
    "classification": ("top1",),
    "retrieval": ("image_recall_at_1", "text_recall_at_1"),
}
"""The scores whose mean stands for a set, by task."""


COUNTS = ("images", "rejected")
"""What is kept beside the scores: images that could be used, and that could not."""


class KnownClasses:
    """Embeddings of the classes of sets, computed again only when the text tower has changed."""

    def __init__(self) -> None:
        self._text_tower = ""
        self._known: dict[str, torch.Tensor] = {}

    def of(self, clip: Clip, images: ClassifiedImages) -> torch.Tensor:
        """As `embed_classes`."""
        if (tower := clip.text_weights_sha256()) != self._text_tower:
            self._text_tower, self._known = tower, {}
        if images.name not in self._known:
            self._known[images.name] = embed_classes(clip, images)
        return self._known[images.name]


def measure(
    clip: Clip,
    images: ClassifiedImages | CaptionedImages,
    config: RetentionConfig,
    classes: KnownClasses | None = None,
) -> Measured:
    """Measure a CLIP on at most `config.max_images` of a set. In a process group every rank calls it, does its share,
    and gets what all found.

    Raises:
        UserError: a template is too long for the CLIP, or its embeddings are not numbers.
        OSError: storage failed.
    """
    rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    indices = images.spread(config.max_images)[rank::ranks]
    encoded = encode_images(clip, images, indices.tolist(), batch_size=config.batch_size, readers=config.readers)
    usable = indices[encoded.usable]
    rejected = Counter(reason_of(problem) for problem in encoded.problems if problem)
    if isinstance(images, ClassifiedImages):
        classes_CD = (classes or KnownClasses()).of(clip, images)
        found = classify(encoded.features.to(clip.device), classes_CD.to(clip.device), images.labels[usable])
        parts = _gathered((usable, found.rank, rejected))
        ranks_N = np.concatenate([part[1] for part in parts])
        labels_N = images.labels[np.concatenate([part[0] for part in parts])]
        scores = accuracies(ranks_N, labels_N, len(images.classes))
    else:
        captions_TD = embed_captions(clip, [caption for index in usable for caption in images.captions[index]])
        parts = _gathered((usable, encoded.features, rejected, captions_TD))
        # An image without features leaves a tensor without columns.
        images_ND, all_TD = (
            torch.cat([part[column] for part in parts if len(part[0])] or [torch.zeros((0, 1))]) for column in (1, 3)
        )
        counts = [len(images.captions[index]) for part in parts for index in part[0]]
        owner = np.repeat(np.arange(len(counts)), counts)
        scores = recalls(images_ND.to(clip.device), all_TD.to(clip.device), owner)
    count = sum(len(part[0]) for part in parts)
    return Measured(
        images.name, images.task, scores, count, dict(sorted(sum((part[2] for part in parts), Counter()).items()))
    )


def _gathered(part: tuple) -> Sequence[tuple[Any, ...]]:
    """What each rank found, in the order of the ranks."""
    if not dist.is_initialized():
        return [part]
    gathered: list = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, part)
    return gathered
