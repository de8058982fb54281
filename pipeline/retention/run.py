"""The job that measures a CLIP on whole images, from configuration to result.

What it writes: `images/`, and for retrieval `captions/` (one Parquet table a chunk of images each), for classification
`classes.parquet` (the accuracy of each class), `result.json` and `config.yaml`.
"""

import re
import sys
from dataclasses import asdict

import ray

from pipeline import storage
from pipeline.clip import load_clip
from pipeline.clip.templates import check_fit
from pipeline.configuration import fingerprint
from pipeline.configuration.overwriting import prepare_output
from pipeline.errors import IncompleteError
from pipeline.execution.image_groups import Workers, plan_workers, run_groups
from pipeline.retention.chunk import TABLES
from pipeline.retention.config import ImagesJobConfig, Task
from pipeline.retention.result import CLASSES, RESULT, read_result, read_tables, rejected, write_result
from pipeline.retention.sets import CaptionedImages, ClassifiedImages, open_image_set
from pipeline.retention.worker import ImagesWorker

OWN_FILES = (
    r"captions/[0-9]{6,}\.parquet",
    r"images/[0-9]{6,}\.parquet",
    re.escape(CLASSES),
    re.escape(RESULT),
    r"config\.yaml",
)
"""What `--overwrite` deletes: see `pipeline.configuration.overwriting`."""


class TooManyRejectedError(IncompleteError):
    """More than `max_reject_fraction` of the images could not be used."""


def measure_images(config: ImagesJobConfig, task: Task, *, overwrite: bool = False) -> dict:
    """Measure a CLIP on whole images, on the Ray cluster that this process is connected to.

    Chunks that are done are skipped, so running the same again after any failure carries on.

    Args:
        task: what the set has to be for.
        overwrite: delete what lies in the output directory first.

    Returns:
        the content of `result.json`.

    Raises:
        UserError: the configuration, the set or the output directory has to be changed.
        TooManyRejectedError: more than `max_reject_fraction` of the images could not be used.
        ImageGroupsError: workers failed; what is done is kept.
        OSError: storage cannot be read or written any more.
    """
    config = config.resolved()
    storage.check_writable(config.output, "output")
    images = open_image_set(config.dataset, "dataset", task)
    for note in images.notes:
        print(f"note: {note}", file=sys.stderr)
    workers = plan_workers(config.gpus, config.workers, config.clip.threads, config.wait_minutes)
    clip = load_clip(config.clip.architecture, config.clip.weights)
    if isinstance(images, ClassifiedImages):
        check_fit(clip.tokenizer, images.templates, "dataset.templates")
    models = {"clip": {"sha256": clip.weights_sha256()}}
    description = fingerprint.describe(
        "retention", ImagesJobConfig, asdict(config), dataset=images.identity, models=models
    )
    prepare_output(config.output, "retention", OWN_FILES, overwrite=overwrite)
    fingerprint.write_or_check(storage.join(config.output, "config.yaml"), ImagesJobConfig, description)
    if storage.exists(storage.join(config.output, RESULT)):
        return read_result(config.output)
    for table in TABLES[task]:  # half-written files of a run that was killed
        storage.remove_leftovers(storage.join(config.output, table))
    indices = images.spread(config.limit).tolist()
    size = config.images_per_chunk
    chunks = [indices[start : start + size] for start in range(0, len(indices), size)]
    _measure_chunks(config, workers, images, chunks)
    tables = read_tables(config.output, images, len(chunks))
    _check_rejected(config, rejected(tables), len(indices))
    return write_result(config.output, images, tables, description["fingerprint"])


def _measure_chunks(
    config: ImagesJobConfig,
    workers: Workers,
    images: ClassifiedImages | CaptionedImages,
    chunks: list[list[int]],
) -> None:
    done = set(storage.list_names(storage.join(config.output, TABLES[images.task][-1])))
    due = [
        {"chunk": number, "images": chunk} for number, chunk in enumerate(chunks) if f"{number:06d}.parquet" not in done
    ]
    arguments = [config, [ray.put(images)]]
    total = sum(map(len, chunks))
    for _ in run_groups(images.task, ImagesWorker, arguments, due, workers=workers, output=config.output, total=total):
        pass


def _check_rejected(config: ImagesJobConfig, found: dict[str, int], count: int) -> None:
    total = sum(found.values())
    if total == count or total > config.max_reject_fraction * count:
        reasons = ", ".join(f"{reason} ({number})" for reason, number in found.items())
        raise TooManyRejectedError(
            f"{total} of {count} images could not be used, more than max_reject_fraction = "
            f"{config.max_reject_fraction:g}: {reasons}. {config.output}/images says which. Mend them and use "
            "--overwrite, or raise max_reject_fraction"
        )
