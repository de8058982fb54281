"""The segmentation job from configuration to label maps.

What it writes: `labels/NAME.png` (see `label_png`), `overlays/NAME.jpg`, `classes.json` (index, names and colour of
each class), `rejects.json` (images that could not be used, and why) and `config.yaml`.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass

from pipeline import fingerprint, storage
from pipeline.errors import UserError
from pipeline.segmentation.drawing import classes_json
from pipeline.segmentation.groups import run_groups, worker_resources
from pipeline.segmentation.job import SegmentConfig
from pipeline.segmentation.loading import RUNNING_KEYS, check_models
from pipeline.segmentation.plan import list_images, resolve
from pipeline.segmentation.stage import SegmentStage, stem

_IMAGES_PER_ROW = 8


@dataclass(frozen=True)
class SegmentResult:
    """What a run did."""

    images: int
    """All images of the source."""
    done_before: int
    rejects: list[dict]
    """`image`, `reason` and `detail` of each image that could not be used."""


def segment(config: SegmentConfig, *, overwrite: bool = False) -> SegmentResult:
    """Segment a folder of images on the Ray cluster that this process is connected to.

    Images whose label map is there are skipped, so running the same again after any failure carries on; images that
    were rejected are tried again.

    Args:
        overwrite: delete what an earlier job wrote into the output directory.

    Raises:
        UserError: the configuration, the source or the output directory has to be changed, or no image could be used.
        SegmentError: workers failed; what is done is kept.
        OSError: storage cannot be read or written any more.
    """
    config, classes = resolve(config)
    storage.check_writable(config.output, "output")
    images = list_images(config.images)
    worker_resources(config)
    models = check_models(config, classes)
    settings = storage.join(config.output, "config.yaml")
    if not storage.exists(settings) and storage.list_names(storage.join(config.output, "labels")):
        raise UserError(
            f"output: {config.output} holds labels/ but no config.yaml, so nothing says what made them; "
            "choose another directory"
        )
    if overwrite:
        _clear(config.output)
    fingerprint.claim(settings, RUNNING_KEYS, fingerprint.describe(RUNNING_KEYS, asdict(config), models=models))
    for folder in ("labels", "overlays"):  # half-written files of a run that was killed
        storage.remove_leftovers(storage.join(config.output, folder))
    storage.write_bytes(storage.join(config.output, "classes.json"), classes_json(classes))

    present = set(storage.list_names(storage.join(config.output, "labels")))
    due = [image for image in images if f"{stem(image)}.png" not in present]
    rejects = _run(config, due, len(images))
    storage.write_bytes(
        storage.join(config.output, "rejects.json"), json.dumps(rejects, indent=1, ensure_ascii=False).encode()
    )
    if len(rejects) == len(images):
        reasons = ", ".join(f"{reason} ({n})" for reason, n in Counter(r["reason"] for r in rejects).most_common(5))
        raise UserError(
            f"images: none of the {len(images)} images in {config.images} could be used: {reasons}; the first: "
            f"{rejects[0]['image']}: {rejects[0]['detail']}"
        )
    return SegmentResult(len(images), len(images) - len(due), rejects)


def _run(config: SegmentConfig, due: list[str], total: int) -> list[dict]:
    groups = [{"images": due[start : start + _IMAGES_PER_ROW]} for start in range(0, len(due), _IMAGES_PER_ROW)]
    rejects = []
    for row in run_groups("segmentation", SegmentStage, [config], groups, config, total):
        rejects += json.loads(row["rejects"])
    return sorted(rejects, key=lambda reject: reject["image"])


def _clear(output: str) -> None:
    """Delete what a job wrote, `config.yaml` last, so that an interrupted deletion leaves no labels without it."""
    for folder in ("labels", "overlays"):
        storage.remove_tree(storage.join(output, folder))
    for name in ("classes.json", "rejects.json", "config.yaml"):
        storage.remove(storage.join(output, name))
