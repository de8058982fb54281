"""A training run and evaluations as their jobs write them, made without any model, so that all numbers are known."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

import schemas
from pipeline import storage
from pipeline.evaluation import ConfusionMatrix
from pipeline.evaluation.chunk import chunk_uri, class_pixels_table
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets import IGNORE, DatasetConfig, open_dataset
from pipeline.evaluation.label_maps import label_map_row
from pipeline.evaluation.object_tables import OBJECT_TABLES
from pipeline.evaluation.result import read_evaluation, write_result
from pipeline.microworld.pair_shards import Pair, describe_pairs, write_pairs
from pipeline.segmentation import UNLABELLED
from pipeline.training.config import ModelConfig, TrainConfig
from pipeline.training.run_directory import RunDirectory
from pipeline.training.samples import DataConfig, select_samples

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
NOUNS = ("apple", "dog", HOSTILE, "zebra")
STEPS = {"full": 40, "mask_prompt": 20}
"""Of each stage; two epochs of full, one of mask prompts."""


def made_run(folder: Path, held_out_share: float = 0.5) -> Path:
    """A complete run in `folder/run`, on a dataset in `folder/pairs` whose regions are squares."""
    rng = np.random.default_rng(7)
    mask = np.zeros((32, 32), bool)
    mask[8:24, 6:26] = True
    pairs = [
        Pair(f"image-{number}", rng.integers(0, 256, (32, 32, 3), np.uint8), mask, NOUNS[number % len(NOUNS)])
        for number in range(80)
    ]
    describe_pairs(folder / "pairs", shards=1, images=len(pairs))
    write_pairs(folder / "pairs", 0, pairs)
    data = DataConfig(held_out_share=held_out_share)
    samples = select_samples(str(folder / "pairs"), data)
    layout = RunDirectory(str(folder / "run"))
    samples.write(layout.samples)
    rows: list[dict] = []

    def validate(stage: str, epoch: float, step: int, wrong_share: float) -> None:
        own = samples.noun_of_row[samples.held_out]
        wrong = rng.random(len(own)) < wrong_share
        nouns = np.array(samples.nouns, dtype=object)
        columns = [
            [samples.key(row) for row in samples.held_out],
            nouns[own],
            nouns[np.where(wrong, (own + rng.integers(1, len(nouns), len(own))) % len(nouns), own)],
            np.where(wrong, rng.integers(1, len(nouns), len(own)), 0).astype(np.int32),
            *rng.random((2, len(own)), np.float32),
        ]
        storage.write_table(pa.table(columns, schema=schemas.NEAREST), layout.nearest(stage, step))
        top1 = float((~wrong).mean())
        rows.append({"stage": stage, "epoch": epoch, "step": step, "accuracy_top1": top1, "accuracy_top5": 1.0})

    if len(samples.held_out):
        validate("full", 0.0, 0, 0.7)
    for stage, steps in STEPS.items():
        for step in range(5, steps + 1, 5):
            logged = {"loss": 3 / step, "learning_rate": 1e-5, "logit_scale": 100.0, "regions_per_second": 50.0}
            rows.append({"stage": stage, "epoch": step / 20, "step": step, **logged, "waiting_share": 0.25})
            if step % 20 == 0 and len(samples.held_out):
                validate(stage, step / 20, step, 0.3)
    storage.write_table(pa.Table.from_pylist(rows, schemas.METRICS), layout.metrics)
    config = TrainConfig(dataset=samples.dataset, output=layout.uri, model=ModelConfig(), data=data)
    storage.write_bytes(layout.config, yaml.safe_dump({"fingerprint": "a", "configuration": asdict(config)}).encode())
    result = {
        "dataset": samples.dataset,
        "skipped_shards": [],
        "training_samples": len(samples.train),
        "held_out_samples": len(samples.held_out),
        "nouns": len(samples.nouns),
        "steps": STEPS,
        "accuracy": [row for row in rows if "accuracy_top1" in row],
    }
    storage.write_bytes(layout.result, json.dumps(result).encode())
    return folder / "run"


def made_evaluation(
    world: Path, output: Path, wrong_share: float, seed: int = 0, limit: int | None = None, objects: bool = False
) -> Path:
    """An evaluation on a micro world in two chunks; of the true regions some are given another class, or none.

    With objects, a region that is given another class is a segment that is missed and a false one, and of every thing
    there is a detection that takes it, at higher thresholds if its class is right, and one that takes nothing.
    """
    config = EvaluateConfig(
        dataset=DatasetConfig(kind="micro_world", root=str(world)), output=str(output), limit=limit
    ).resolved()
    dataset, rng = open_dataset(config.dataset), np.random.default_rng(seed)
    classes, image_ids = len(dataset.classes), dataset.image_ids[:limit]
    for chunk, chosen in enumerate((image_ids[: len(image_ids) // 2], image_ids[len(image_ids) // 2 :])):
        cells, maps, regions, images, class_pixels = [], [], [], [], []
        truth, segments, detections = [], [], []
        for image_id in chosen:
            labels = dataset.read(image_id).labels
            predicted = labels.copy()
            for label in np.unique(labels[labels != IGNORE]).tolist():
                wrong = rng.random() < wrong_share
                if wrong:
                    predicted[labels == label] = UNLABELLED if rng.random() < 0.2 else rng.integers(classes)
                area = int((labels == label).sum())
                regions.append({"image_id": image_id, "label": label, "area": area, "rank": 3 * int(wrong)})
                row = {"image_id": image_id, "label": label}
                thing = int(label in dataset.objects.things)
                counts = dict.fromkeys(schemas.TRUE_OBJECTS.names, 0) | {"segments": 1, "instances": [thing] * 4}
                truth.append(counts | row)
                missed = int(wrong)
                found = {"iou": 0.8 * (1 - missed), "tp": 1 - missed, "fp": missed, "fn": missed}
                segments.append({"branch": "clip", **row, **found})
                for score, bits in ((0.9, 7 if wrong else 255), (0.5, 0)) * thing:
                    bits = {"matched": [bits] * 4, "ignored": [0] * 4}
                    detections.append({"branch": "clip", **row, "score": score, **bits})
            # Regions end a little off.
            predicted = np.roll(predicted, 2, axis=0)
            matrix = ConfusionMatrix(classes, IGNORE)
            class_pixels += class_pixels_table("clip", image_id, matrix.update(predicted, labels)).to_pylist()
            maps.append(label_map_row(image_id, {"clip": predicted}, labels, classes))
            cells += [
                {"branch": "clip", "label": label, "predicted": None if cell == classes else cell, "pixels": pixels}
                for label, counts in enumerate(matrix.counts.tolist())
                for cell, pixels in enumerate(counts)
                if pixels
            ]
            height, width = labels.shape
            images.append({"image_id": image_id, "height": height, "width": width, "proposals": 9, "problem": None})
        for name, rows, schema in (
            ("confusion", cells, schemas.CONFUSION),
            ("class_pixels", class_pixels, schemas.CLASS_PIXELS),
            ("regions", regions, schemas.TRUE_REGIONS),
            ("label_maps", maps, schemas.LABEL_MAPS),
            ("images", images, schemas.EVALUATED_IMAGES),
            ("objects", truth, schemas.TRUE_OBJECTS),
            ("panoptic", segments, schemas.PANOPTIC_COUNTS),
            ("detections", detections, schemas.DETECTIONS),
        ):
            if objects or name not in OBJECT_TABLES:
                storage.write_table(pa.Table.from_pylist(rows, schema), chunk_uri(str(output), name, chunk))
    description = {"fingerprint": "a", "configuration": asdict(config), "dataset": dataset.identity}
    (output / "config.yaml").write_text(yaml.safe_dump(description))
    evaluation = read_evaluation(str(output), 2, classes, dataset.objects if objects else None)
    write_result(str(output), evaluation, dataset, "a")
    return output
