"""The evaluation job from configuration to result.

What it writes: `confusion/`, `regions/`, `label_maps/` and `images/` (one Parquet table a chunk of images each),
`classes.parquet` (scores of each class), `result.json` and `config.yaml`.
"""

import json
from dataclasses import asdict

import ray

from pipeline import fingerprint, storage
from pipeline.errors import UserError
from pipeline.evaluation.chunk import TABLES
from pipeline.evaluation.config import RUNNING_KEYS, EvaluateConfig
from pipeline.evaluation.datasets import SegmentationDataset, open_dataset
from pipeline.evaluation.result import CLASSES, RESULT, read_evaluation, write_result
from pipeline.evaluation.stage import EvaluateStage
from pipeline.segmentation.groups import run_groups, worker_resources
from pipeline.segmentation.loading import check_models


def evaluate(config: EvaluateConfig, *, overwrite: bool = False) -> dict:
    """Evaluate a CLIP on the Ray cluster that this process is connected to.

    Chunks that are done are skipped, so running the same again after any failure carries on.

    Args:
        overwrite: delete the evaluation that lies in the output directory first.

    Returns:
        the content of `result.json`.

    Raises:
        UserError: the configuration, the data set or the output directory has to be changed.
        SegmentError: workers failed; what is done is kept.
        OSError: storage cannot be read or written any more.
    """
    config = config.resolved()
    storage.check_writable(config.output, "output")
    dataset = open_dataset(config.dataset)
    image_ids = dataset.image_ids[: config.limit]
    if not image_ids:
        raise UserError(f"dataset: {dataset.name} at {config.dataset.root} has no images")
    worker_resources(config)
    models = check_models(config, dataset.classes)
    description = fingerprint.describe(RUNNING_KEYS, asdict(config), dataset=dataset.identity, models=models)
    if overwrite:
        _clear(config.output)
    fingerprint.claim(storage.join(config.output, "config.yaml"), RUNNING_KEYS, description)
    result = storage.join(config.output, RESULT)
    if storage.exists(result):
        return json.loads(storage.read_bytes(result))
    for table in TABLES:  # half-written files of a run that was killed
        storage.remove_leftovers(storage.join(config.output, table))
    size = config.images_per_chunk
    chunks = [image_ids[start : start + size] for start in range(0, len(image_ids), size)]
    _evaluate_chunks(config, dataset, chunks)
    evaluation = read_evaluation(config.output, len(chunks), len(dataset.classes))
    return write_result(config.output, evaluation, dataset, description["fingerprint"])


def _evaluate_chunks(config: EvaluateConfig, dataset: SegmentationDataset, chunks: list[list[str]]) -> None:
    done = set(storage.list_names(storage.join(config.output, TABLES[-1])))
    due = [
        {"chunk": chunk, "images": images} for chunk, images in enumerate(chunks) if f"{chunk:06d}.parquet" not in done
    ]
    arguments = [config, [ray.put(dataset)]]
    for _ in run_groups("evaluation", EvaluateStage, arguments, due, config, sum(map(len, chunks))):
        pass


def _clear(output: str) -> None:
    """Delete what a job wrote, `config.yaml` last, so that an interrupted deletion leaves nothing without it."""
    for folder in (*TABLES, "report"):
        storage.remove_tree(storage.join(output, folder))
    for name in (CLASSES, RESULT, "config.yaml"):
        storage.remove(storage.join(output, name))
