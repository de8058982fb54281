"""MESS: 22 sets of five domains, as its preparation lays them below one directory; see `mess_sets.toml`.

Its evaluator (mess/evaluation/sem_seg_evaluation.py of github.com/blumenstiel/MESS) averages over the classes with
ground truth or predictions, the older formula; of most sets one class is the background.
"""

import tomllib
from dataclasses import dataclass
from importlib.resources import files as resources

from pipeline.errors import UserError
from pipeline.evaluation.datasets.background import Background, background_of
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.label_codes import LabelCodes
from pipeline.evaluation.datasets.labelled_images import LabelledImages


@dataclass(frozen=True)
class MessSet:
    """Where a set lies in the prepared directory, and what its label values mean."""

    folder: str
    domain: str
    """The mean of MESS is taken over each of the five, and over all sets."""
    page: str
    """Where the data set is from."""
    prepared_by: str
    """The module of mess/prepare_datasets that makes the directories."""
    images: dict[str, str]
    """Directories of images by split; the first is what the benchmark evaluates, others show other bands."""
    image_suffix: str
    labels: str
    """Directory of label images with one channel; 255 does not count."""
    label_suffix: str
    count: int
    """How many label images the finished preparation has."""
    classes: list[str]
    """Names in the order of the label values."""
    background: int | None = None
    """The class that stands for what is none of the others."""


MESS_SETS = {
    name: MessSet(**found)
    for name, found in tomllib.loads(
        resources("pipeline.evaluation.datasets").joinpath("mess_sets.toml").read_text(encoding="utf-8")
    ).items()
}
"""By name, in the order of the benchmark's table."""


def open_mess(config: DatasetConfig) -> LabelledImages:
    """The set that `config.kind` names after `mess_`, in its directory below the root.

    Raises:
        UserError: as `open_mess_set`.
    """
    return open_mess_set(config, MESS_SETS[config.kind.removeprefix("mess_")])


def open_mess_set(config: DatasetConfig, chosen: MessSet) -> LabelledImages:
    """A set of MESS. Images without a label image are left out, as detectron2's `load_sem_seg` leaves them.

    Raises:
        UserError: the set is not prepared or not wholly, it has no such split, or the names of the background have no
            meaning.
    """
    split = config.split or next(iter(chosen.images))
    if split not in chosen.images:
        raise UserError(f"dataset.split: {config.kind} has {' and '.join(chosen.images)}, not {split}")
    how = (
        f"what python -m mess.prepare_datasets.{chosen.prepared_by} of https://github.com/blumenstiel/MESS makes of "
        f"{chosen.page}"
    )
    files = Distribution(config.root, how)
    images, labels = f"{chosen.folder}/{chosen.images[split]}", f"{chosen.folder}/{chosen.labels}"
    suffix = chosen.label_suffix
    image_ids = [name[: -len(suffix)] for name in files.names(labels, suffix.lower())]
    if len(image_ids) < chosen.count:
        raise UserError(
            f"dataset.root: {files.uri(labels)} has {len(image_ids)} label images of {chosen.count}; the preparation "
            f"did not end. They are part of {how}"
        )
    files.check(images, [f"{image_id}{chosen.image_suffix}" for image_id in image_ids])
    classes: list[tuple[str, ...]] = [(name,) for name in chosen.classes]
    background: Background | None = None
    if (label := chosen.background) is not None:
        own = classes.pop(label)
        background, classes = background_of(config, own, label, classes, shown=own[0])
    return LabelledImages(
        name=f"{config.kind}/{split}",
        files=files,
        classes=classes,
        paths={
            image_id: (f"{images}/{image_id}{chosen.image_suffix}", f"{labels}/{image_id}{suffix}")
            for image_id in image_ids
        },
        codes=LabelCodes({value: value for value in range(len(classes))}, ignored=[255]),
        background=background,
    )
