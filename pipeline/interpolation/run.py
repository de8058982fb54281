"""Interpolation of a training run: every share is measured, one is chosen, and its model is written.

Below the run's directory it writes `interpolation/`: `measured/` (a JSON file a share, so that the same command goes
on), `evaluated/` (an evaluation a share, if one was asked for), `model/` and, last, `result.json`.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import ray
import torch
from ray.exceptions import RayTaskError

from pipeline import storage
from pipeline.clip import Clip, save_clip
from pipeline.configuration import limits
from pipeline.configuration.paths import with_absolute_paths
from pipeline.errors import UserError
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.label_maps import main_branch
from pipeline.evaluation.run import evaluate
from pipeline.interpolation.choice import Point, choose, gain_of, lost, rule
from pipeline.interpolation.config import InterpolateConfig
from pipeline.interpolation.subject import Subject, check_subject, open_subject
from pipeline.interpolation.weights import interpolated
from pipeline.retention import measure
from pipeline.storage.documents import DamagedFileError, read_json
from pipeline.training.crops import cut_batches
from pipeline.training.loader import validation_loader
from pipeline.training.noun_embeddings import embed_nouns
from pipeline.training.retention import RETENTION, Retention, retention_summary, values_of
from pipeline.training.run_directory import RunDirectory
from pipeline.training.samples import Samples
from pipeline.training.validation import validate


def interpolate(
    run: str,
    config: InterpolateConfig,
    evaluation: EvaluateConfig | None = None,
    tell: Callable[[Point], None] = lambda point: None,
) -> dict:
    """Measure weights between the original CLIP of a run and the adapted one, on the Ray cluster that this process is
    connected to, and write the best.

    What is measured is kept, so running the same again after any failure carries on.

    Args:
        run: output directory of a training job.
        evaluation: measures mIoU, too; its `clip` and `output` are set here.
        tell: called with each point as it is measured.

    Returns:
        the content of `result.json`.

    Raises:
        UserError: the run, the original CLIP, a set or the configuration cannot be used.
        ImageGroupsError: workers of an evaluation failed.
        OSError: storage failed.
    """
    limits.check(config)
    config, run = with_absolute_paths(config), storage.absolute(run)
    subject = open_subject(run, config)
    folder = RunDirectory(run).interpolation
    storage.check_writable(folder, "RUN")
    original, adapted = check_subject(subject)
    retention = Retention(subject.retention)
    retention.check(original, Samples.read(subject.samples).dataset)
    gpu = bool(ray.cluster_resources().get("GPU")) if config.gpu is None else config.gpu
    about = {
        "run": subject.fingerprint,
        "original": subject.original_sha256,
        "adapted": adapted.weights_sha256(),
        RETENTION: retention.identity,
        "max_images": subject.retention.max_images,
    }
    points = []
    for alpha in sorted({0.0, 1.0, *config.alphas}):
        point = _measured(subject, alpha, about, storage.join(folder, "measured", f"{alpha:g}.json"), gpu)
        if evaluation is not None:
            miou = _miou(interpolated(original, adapted, alpha), evaluation, storage.join(folder, "evaluated"), alpha)
            point = replace(point, miou=miou)
        points.append(point)
        tell(point)
    if gain_of(points) == "accuracy" and any(point.accuracy is None for point in points):
        raise UserError(
            f"{run} held no regions out, and no evaluation was asked for: nothing says what is gained; use --evaluate"
        )
    chosen = choose(points, config.max_lost)
    return _write(subject, config, points, interpolated(original, adapted, chosen.alpha), chosen)


def _measured(subject: Subject, alpha: float, about: dict, uri: str, gpu: bool) -> Point:
    """Measure a share on a worker of the Ray cluster, or find it measured."""
    fingerprint = hashlib.sha256(json.dumps({**about, "alpha": alpha}, sort_keys=True).encode()).hexdigest()
    try:
        kept = read_json(uri)
        if kept.get("fingerprint") == fingerprint:
            return Point.of(kept)
    except (FileNotFoundError, DamagedFileError, LookupError, TypeError):
        pass  # it is measured again
    try:
        point: Point = ray.get(ray.remote(num_cpus=1, num_gpus=1 if gpu else 0)(measure_share).remote(subject, alpha))
    except RayTaskError as error:
        raise error.cause from None
    storage.write_bytes(uri, json.dumps({"fingerprint": fingerprint, **asdict(point)}, indent=1).encode())
    return point


def measure_share(subject: Subject, alpha: float) -> Point:
    """Measure masked regions and whole images in this process; on a GPU, if it has one.

    Raises:
        UserError, OSError: as of `interpolate`.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = subject.model.precision
    if precision == "auto":
        precision = "bf16" if device == "cuda" else "fp32"
    clip = interpolated(*subject.load(precision, device), alpha)
    moment = values_of([measure(clip, images, subject.retention) for images in Retention(subject.retention).sets])
    if RETENTION not in moment:
        raise UserError(f"{subject.uri}: no image of the sets of retention could be read")
    [summary] = retention_summary([{"stage": "", "epoch": 0.0, "step": 0, **moment}])
    return Point(alpha, _accuracy(clip, subject), None, moment[RETENTION], summary["sets"])


def _accuracy(clip: Clip, subject: Subject) -> float | None:
    samples = Samples.read(subject.samples)
    if not len(samples.held_out):
        return None
    loader = validation_loader(
        samples,
        subject.data,
        clip.input,
        max_regions=subject.validation.max_regions,
        batch_size=subject.batch_size,
    )
    nouns_ND = embed_nouns(clip, samples.nouns, subject.model.templates)
    return validate(clip, cut_batches(loader, clip.device), nouns_ND).top1


def _miou(clip: Clip, evaluation: EvaluateConfig, folder: str, alpha: float) -> float | None:
    """Evaluate a CLIP, or find it evaluated."""
    with tempfile.TemporaryDirectory() as local:
        save_clip(clip, Path(local))
        model = storage.join(folder, f"{alpha:g}-model")
        for path in sorted(Path(local).iterdir()):
            storage.upload(path, storage.join(model, path.name))
    config = replace(
        evaluation,
        clip=replace(evaluation.clip, architecture=f"local-dir:{model}", weights=None),
        output=storage.join(folder, f"{alpha:g}"),
    )
    scores = evaluate(config)["scores"]
    storage.remove_tree(model)
    return scores[main_branch(scores)]["miou"] if scores else None


def _write(subject: Subject, config: InterpolateConfig, points: Sequence[Point], clip: Clip, chosen: Point) -> dict:
    directory = RunDirectory(subject.uri)
    result = {
        "fingerprint": subject.fingerprint,
        "rule": rule(points, config.max_lost),
        "gain": gain_of(points),
        "max_lost": config.max_lost,
        "chosen": chosen.alpha,
        "points": [asdict(point) | {"lost": lost(points, point)} for point in points],
    }
    with tempfile.TemporaryDirectory() as local:
        save_clip(clip, Path(local))
        (Path(local) / "README.md").write_text(_card(result, chosen))
        for path in sorted(Path(local).iterdir()):
            storage.upload(path, storage.join(directory.interpolation, "model", path.name))
    content = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
    storage.write_bytes(directory.interpolated, content.encode())
    return result


def _card(result: dict, chosen: Point) -> str:
    rows = "\n".join(
        f"| {point['alpha']:g} | {_share(point['accuracy'])} | {_share(point['miou'])} | {_share(point['retention'])} |"
        for point in result["points"]
    )
    return f"""---
library_name: open_clip
tags: [mask-adapted-clip, open-vocabulary-segmentation]
---
# Mask-adapted CLIP, averaged with its original

The weights of the original CLIP and of the one that was adapted to masked image regions, averaged (WiSE-FT, Wortsman et
al. 2022): {chosen.alpha:g} of the adapted ones. Chosen by: {result["rule"]}.

| share | masked regions | mIoU | whole images |
|---|---|---|---|
{rows}

The card of the adapted CLIP, in `model/` of the training run, says what it was made from.
"""


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
