"""The segmentation job from configuration to label maps.

What it writes: `labels/NAME.png` (see `label_png`), `overlays/NAME.jpg`, `classes.json` (index, names and colour of
each class), `panoptic.json` and `panoptic/NAME.png` (COCO's format, see `panoptic`), made from `segments/NAME.json`,
`rejects.json` (images that could not be used, and why) and `config.yaml`. NAME is explained in `sources`.
"""

import json
import posixpath
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from pipeline import storage
from pipeline.configuration import fingerprint
from pipeline.configuration.overwriting import prepare_output
from pipeline.errors import UserError
from pipeline.execution.image_groups import Workers, plan_workers, run_groups
from pipeline.images import ImageProblem
from pipeline.segmentation.drawing import classes_json
from pipeline.segmentation.job_config import SegmentJobConfig
from pipeline.segmentation.loading import check_models
from pipeline.segmentation.panoptic_file import write_panoptic
from pipeline.segmentation.plan import resolve
from pipeline.segmentation.sources import Sources, find_images, name_problem
from pipeline.segmentation.worker import SegmentWorker
from pipeline.storage.common_folder import address
from pipeline.storage.in_threads import in_threads

_IMAGES_PER_ROW = 8
_FOLDERS = ("labels", "overlays", "panoptic", "segments")
# What `--overwrite` deletes: see `pipeline.configuration.overwriting`.
_OWN_FILES = (
    r"labels/.+\.png",
    r"overlays/.+\.jpg",
    r"panoptic/.+\.png",
    r"segments/.+\.json",
    r"(?:classes|panoptic|rejects)\.json",
    r"config\.yaml",
)


@dataclass(frozen=True)
class SegmentResult:
    """What a run did."""

    images: int
    """All images of the source."""
    done_before: int
    rejects: list[dict]
    """`image`, `reason` and `detail` of each image that could not be used."""


def segment(config: SegmentJobConfig, *, overwrite: bool = False) -> SegmentResult:
    """Segment images on the Ray cluster that this process is connected to.

    Images whose label map is there are skipped, so running the same again after any failure carries on; images that
    were rejected are tried again.

    Args:
        overwrite: delete what an earlier job wrote into the output directory.

    Raises:
        UserError: the configuration, the source or the output directory has to be changed, or no image could be used.
        ImageGroupsError: workers failed; what is done is kept.
        OSError: storage cannot be read or written any more.
    """
    config, classes = resolve(config)
    storage.check_writable(config.output, "output")
    sources = find_images(config.images, config.output)
    workers = plan_workers(config.gpus, config.workers, config.clip.threads, config.wait_minutes)
    models = check_models(config, classes)
    settings = storage.join(config.output, "config.yaml")
    prepare_output(config.output, "segment", _OWN_FILES, overwrite=overwrite)
    parts = {"models": models, "source": {"folder": address(sources.folder)}}
    if config.things is not None:
        # The key itself may change where an earlier version, which told no objects apart, wrote the directory.
        parts["objects"] = {"things": sorted(config.things)}
    described = fingerprint.describe("segment", SegmentJobConfig, asdict(config), **parts)
    fingerprint.write_or_check(settings, SegmentJobConfig, described)
    storage.write_bytes(storage.join(config.output, "classes.json"), classes_json(classes))

    unwritable = {name: problem for name in sources.images if (problem := name_problem(config.output, name))}
    present = _present(config.output, sources.images.keys() - unwritable.keys())
    skipped = present | unwritable.keys()
    due = {name: uri for name, uri in sources.images.items() if name not in skipped}
    rejects = [_reject(sources.images[name], problem) for name, problem in unwritable.items()]
    rejects += _run(config, workers, due, len(sources.images))
    rejects.sort(key=lambda reject: reject["image"])
    storage.write_bytes(
        storage.join(config.output, "rejects.json"), json.dumps(rejects, indent=1, ensure_ascii=False).encode()
    )
    _check_any(sources, rejects)
    rejected = {reject["image"] for reject in rejects}
    done = {name: uri for name, uri in sources.images.items() if uri not in rejected and name not in unwritable}
    write_panoptic(config.output, classes, config.things, done)
    return SegmentResult(len(sources.images), len(present), rejects)


def _present(output: str, names: Iterable[str]) -> set[str]:
    """The names of images that are done. Half-written files of a run that was killed are deleted."""
    folders = sorted({posixpath.dirname(name) for name in names})

    def done(folder: str) -> set[str]:
        for kind in _FOLDERS:
            storage.remove_leftovers(storage.join(output, kind, folder))
        files = storage.list_names(storage.join(output, "labels", folder))
        return {posixpath.join(folder, posixpath.splitext(file)[0]) for file in files if file.endswith(".png")}

    return set(names) & set().union(*in_threads(done, folders))


def _run(config: SegmentJobConfig, workers: Workers, due: dict[str, str], total: int) -> list[dict]:
    names, uris = list(due), list(due.values())
    groups = [
        {"images": uris[start : start + _IMAGES_PER_ROW], "names": names[start : start + _IMAGES_PER_ROW]}
        for start in range(0, len(due), _IMAGES_PER_ROW)
    ]
    rejects = []
    for row in run_groups(
        "segmentation", SegmentWorker, [config], groups, workers=workers, output=config.output, total=total
    ):
        rejects += json.loads(row["rejects"])
    return rejects


def _reject(uri: str, problem: ImageProblem) -> dict:
    # Bytes of a name that are not UTF-8 become question marks.
    image = uri.encode(errors="replace").decode()
    return {"image": image, "reason": problem.reason, "detail": problem.detail}


def _check_any(sources: Sources, rejects: list[dict]) -> None:
    """Check that an image could be used.

    Raises:
        UserError: none could; with the most frequent reasons.
    """
    if len(rejects) == len(sources.images):
        reasons = ", ".join(f"{reason} ({n})" for reason, n in Counter(r["reason"] for r in rejects).most_common(5))
        raise UserError(
            f"images: none of the {len(sources.images)} images could be used: {reasons}; the first: "
            f"{rejects[0]['image']}: {rejects[0]['detail']}"
        )
