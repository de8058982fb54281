"""Retention in a training run: what its CLIP knows of whole images, before training and after every epoch.

Among the values of a validation it has the names `retention`, the mean of what stands for each set, and
`retention/SET/MEASURE`; so they go to loggers, and in the end to `retention.parquet`.
"""

import sys
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

import schemas
from pipeline.clip import Clip
from pipeline.clip.templates import check_fit
from pipeline.dataset.opening import open_mined_dataset
from pipeline.errors import UserError
from pipeline.retention import Measured, RetentionConfig, measure
from pipeline.retention.measuring import COUNTS, KnownClasses
from pipeline.retention.sets import CaptionedImages, ClassifiedImages, open_image_set
from pipeline.retention.sets.image_set import Files

RETENTION = "retention"
_KEY = "retention.sets"


class Retention:
    """The sets of whole images of a run, opened."""

    def __init__(self, config: RetentionConfig):
        """
        Raises:
            UserError: a set cannot be read, or is given twice.
        """
        self._config = config
        self.sets: list[ClassifiedImages | CaptionedImages] = []
        for index, one in enumerate(config.sets):
            images = open_image_set(one, f"{_KEY}[{index}]")
            if images.name in (known.name for known in self.sets):
                raise UserError(f"{_KEY}[{index}]: {images.name} is given twice; leave one out")
            self.sets.append(images)
        self._classes = KnownClasses()

    @property
    def identity(self) -> dict[str, dict[str, str]]:
        """Of each set, by its name: changes with its images and what belongs to them."""
        return {images.name: images.identity for images in self.sets}

    def check(self, clip: Clip, dataset: str) -> None:
        """Find out before any worker starts whether the sets fit, and tell on stderr what a reader of the figures has
        to know: classes without images, and images that are also trained on.

        Args:
            dataset: output directory of the mining job that is trained on.

        Raises:
            UserError: a template is too long for the CLIP.
        """
        for index, images in enumerate(self.sets):
            if isinstance(images, ClassifiedImages):
                check_fit(clip.tokenizer, images.templates, f"{_KEY}[{index}].templates")
            for note in images.notes:
                print(f"note: {images.name}: {note}", file=sys.stderr)
        if not self.sets:
            return
        mined: set[str] = set()
        for manifest in open_mined_dataset(dataset, "dataset").manifests(["image_uri"]):
            mined.update(manifest.table["image_uri"].unique().to_pylist())
        for images in self.sets:
            if count := _mined_images(images, mined, self._config.max_images):
                print(
                    f"warning: {count} images of {images.name} are also in {dataset}, and may be trained on: what is "
                    "kept of them says little",
                    file=sys.stderr,
                )

    def measure(self, clip: Clip) -> dict[str, float]:
        """The values of a moment; every rank calls it, and gets the same. Empty without sets.

        Raises:
            UserError: the CLIP's embeddings are not numbers.
            OSError: storage failed.
        """
        return values_of([measure(clip, images, self._config, self._classes) for images in self.sets])


def _mined_images(images: ClassifiedImages | CaptionedImages, mined: set[str], most: int) -> int:
    if not isinstance(images.pictures, Files):
        return 0
    return sum(images.pictures.files[index].uri in mined for index in images.spread(most).tolist())


def values_of(found: Sequence[Measured]) -> dict[str, float]:
    """What was measured, by name; what could not be is left out."""
    values: dict[str, float] = {}
    for one in found:
        counts = (float(one.images), float(sum(one.rejected.values())))
        scores = one.scores | dict(zip(COUNTS, counts, strict=True))
        values |= {f"{RETENTION}/{one.name}/{name}": value for name, value in scores.items() if value is not None}
    main = [one.main for one in found if one.main is not None]
    return {RETENTION: float(np.mean(main)), **values} if main else values


def retention_table(history: Iterable[dict]) -> pa.Table:
    """As `schemas.RETENTION`.

    Args:
        history: rows of metrics; those without values of retention are passed over.
    """
    rows = []
    for row in history:
        moment = {name: row[name] for name in ("stage", "epoch", "step")}
        for name, value in row.items():
            if name.startswith(f"{RETENTION}/"):
                images, _, measured = name.removeprefix(f"{RETENTION}/").rpartition("/")
                rows.append({**moment, "set": images, "measure": measured, "value": value})
    return pa.Table.from_pylist(rows, schemas.RETENTION)


def retention_summary(history: Iterable[dict]) -> list[dict]:
    """For `result.json`: what was measured before training and after each epoch, by set; empty if nothing was."""
    found = []
    for row in history:
        names = [name for name in row if name.startswith(f"{RETENTION}/")]
        if not names:
            continue
        after = row["stage"] if row["step"] else "original"
        sets: dict[str, dict[str, float]] = {}
        for name in names:
            images, _, measured = name.removeprefix(f"{RETENTION}/").rpartition("/")
            sets.setdefault(images, {})[measured] = row[name]
        found.append({"after": after, "epoch": row["epoch"], RETENTION: row.get(RETENTION), "sets": sets})
    return found
