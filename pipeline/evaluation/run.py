"""The evaluation job from configuration to result.

What it writes: `confusion/`, `class_pixels/`, `regions/`, `label_maps/` and `images/` (one Parquet table a chunk of
images each), `statistics/` (what each chunk took), `classes.parquet` (scores of each class), `files.json` (digests of
the data set's files), `result.json` and `config.yaml`. Of data sets that tell things apart also `objects/`,
`panoptic/` and `detections/` (likewise a table a chunk) and `object_classes.parquet`; with `true_boxes` also
`box_regions/`.
"""

import json
import re
from dataclasses import asdict

import ray

from pipeline import storage
from pipeline.configuration import fingerprint
from pipeline.configuration.overwriting import prepare_output
from pipeline.errors import UserError
from pipeline.evaluation.bank_leakage import bank_leakage
from pipeline.evaluation.boxes import check_boxes
from pipeline.evaluation.chunk import BOX_REGIONS, TABLES, tables_of
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.cost import STATISTICS
from pipeline.evaluation.datasets import SegmentationDataset, open_dataset
from pipeline.evaluation.datasets.contents import FILES, Digests, changes, file_digests, read_digests, summary
from pipeline.evaluation.object_tables import OBJECT_TABLES
from pipeline.evaluation.result import CLASSES, OBJECT_CLASSES, RESULT, read_evaluation, read_result, write_result
from pipeline.evaluation.training_leakage import training_leakage
from pipeline.evaluation.worker import EvaluateWorker
from pipeline.execution.image_groups import Workers, plan_workers, run_groups
from pipeline.segmentation.loading import check_models

# What `--overwrite` deletes: see `pipeline.configuration.overwriting`.
_OWN_FILES = (
    *(rf"{table}/[0-9]{{6,}}\.parquet" for table in (BOX_REGIONS, *OBJECT_TABLES, *TABLES)),
    rf"{STATISTICS}/[0-9]{{6,}}\.json",
    r"report/index\.html",
    re.escape(CLASSES),
    re.escape(OBJECT_CLASSES),
    re.escape(RESULT),
    re.escape(FILES),
    r"config\.yaml",
)


def evaluate(config: EvaluateConfig, *, overwrite: bool = False) -> dict:
    """Evaluate a CLIP on the Ray cluster that this process is connected to.

    Chunks that are done are skipped, so running the same again after any failure carries on.

    Args:
        overwrite: delete the evaluation that lies in the output directory first.

    Returns:
        the content of `result.json`.

    Raises:
        UserError: the configuration, the data set or the output directory has to be changed.
        ImageGroupsError: workers failed; what is done is kept.
        OSError: storage cannot be read or written any more.
    """
    config = config.resolved()
    storage.check_writable(config.output, "output")
    dataset = open_dataset(config.dataset)
    image_ids = dataset.image_ids[: config.limit]
    if not image_ids:
        raise UserError(f"dataset: {dataset.name} at {config.dataset.root} has no images")
    check_boxes(dataset, config.true_boxes)
    workers = plan_workers(config.gpus, config.workers, config.clip.threads, config.wait_minutes)
    models = check_models(config, dataset.classes)
    digests = file_digests(dataset, image_ids)
    files = summary(digests)
    description = fingerprint.describe(
        "evaluate", EvaluateConfig, asdict(config), dataset=dataset.identity | files, models=models
    )
    prepare_output(config.output, "evaluate", _OWN_FILES, overwrite=overwrite)
    _check_files(config.output, dataset, digests)
    fingerprint.write_or_check(storage.join(config.output, "config.yaml"), EvaluateConfig, description)
    if not storage.exists(storage.join(config.output, FILES)):
        storage.write_bytes(storage.join(config.output, FILES), json.dumps(digests, indent=0).encode())
    if storage.exists(storage.join(config.output, RESULT)):
        return read_result(config.output)
    for table in (*tables_of(dataset, config.true_boxes), STATISTICS):  # half-written files of a run that was killed
        storage.remove_leftovers(storage.join(config.output, table))
    size = config.images_per_chunk
    chunks = [image_ids[start : start + size] for start in range(0, len(image_ids), size)]
    _evaluate_chunks(config, workers, dataset, chunks, digests)
    classes, boxes = len(dataset.classes), config.true_boxes
    evaluation = read_evaluation(config.output, len(chunks), classes, dataset.objects, true_boxes=boxes)
    leakage = bank_leakage(config.segmentation.bank, dataset, digests)
    return write_result(
        config.output,
        evaluation,
        dataset,
        description["fingerprint"],
        bank=leakage,
        leaks=training_leakage(config.clip.architecture, digests),
        **files,
    )


def _evaluate_chunks(
    config: EvaluateConfig, workers: Workers, dataset: SegmentationDataset, chunks: list[list[str]], digests: Digests
) -> None:
    done = set(storage.list_names(storage.join(config.output, TABLES[-1])))
    due = [
        {"chunk": chunk, "images": images, "sha256": [digests[image][0] for image in images]}
        for chunk, images in enumerate(chunks)
        if f"{chunk:06d}.parquet" not in done
    ]
    arguments = [config, [ray.put(dataset)]]
    total = sum(map(len, chunks))
    for _ in run_groups(
        "evaluation", EvaluateWorker, arguments, due, workers=workers, output=config.output, total=total
    ):
        pass


def _check_files(output: str, dataset: SegmentationDataset, digests: Digests) -> None:
    """Compare the files with those of the evaluation in the output directory, to name what differs.

    Raises:
        UserError: files have changed since it began.
    """
    # Without any, of another version or killed early, the fingerprint knows.
    if changed := changes(read_digests(output), digests):
        raise UserError(
            f"output: {output} holds the evaluation of other files of {dataset.name}: {changed} have changed since. "
            "Use --overwrite to evaluate anew, or another output directory."
        )
