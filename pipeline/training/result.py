"""What a run leaves: the adapted CLIP as open_clip loads it, its model card, and the metrics."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import yaml

import schemas
from pipeline import storage
from pipeline.clip import Clip
from pipeline.clip.saving import save_clip
from pipeline.escaping.markdown import code
from pipeline.training.phases import Phase
from pipeline.training.run_directory import RunDirectory
from pipeline.training.samples import Samples


def write_result(
    directory: RunDirectory, clip: Clip, samples: Samples, phases: list[Phase], history: list[dict]
) -> dict:
    """Write `metrics.parquet`, `model/` and, last, `result.json`, which says that the run is complete.

    Args:
        clip: the adapted one.
        history: rows of the metrics.

    Returns:
        the content of `result.json`.
    """
    description = yaml.safe_load(storage.read_bytes(directory.config))
    storage.write_table(pa.Table.from_pylist(history, schemas.METRICS), directory.metrics)
    result = {
        "fingerprint": description["fingerprint"],
        "dataset": samples.dataset,
        "manifest_sha256": samples.manifest_sha256,
        "skipped_shards": samples.skipped_shards,
        "training_samples": len(samples.train),
        "held_out_samples": len(samples.held_out),
        "nouns": len(samples.nouns),
        "selection": samples.selection and asdict(samples.selection),
        "steps": {phase.name: phase.steps for phase in phases},
        "accuracy": list(_accuracies(history)),
    }
    with tempfile.TemporaryDirectory() as folder:
        save_clip(clip, Path(folder))
        (Path(folder) / "README.md").write_text(_card(result, description, clip))
        files = sorted(Path(folder).iterdir())
        result["files"] = {f"model/{path.name}": _sha256(path) for path in files}
        for path in files:
            storage.upload(path, storage.join(directory.model, path.name))
    storage.write_bytes(directory.result, json.dumps(result, indent=1, ensure_ascii=False).encode())
    return result


def _accuracies(history: list[dict]) -> Iterator[dict]:
    """Accuracy before training and after each epoch."""
    for row in history:
        if row.get("accuracy_top1") is not None:
            after = row["stage"] if row["step"] else "original"
            yield {"after": after, **{key: row[key] for key in ("epoch", "accuracy_top1", "accuracy_top5")}}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _weighed(data: dict) -> str:
    """What else says which pairs count; `config.yaml` of an older version has none of these keys."""
    weight = f" Weight: {code(data['weight'])}." if data.get("weight") else ""
    return weight + (f" Fold {data['fold']} of {data['folds']}." if data.get("fold") is not None else "")


def _card(result: dict, description: dict, clip: Clip) -> str:
    configuration = description["configuration"]
    model, loss, data = configuration["model"], configuration["loss"], configuration["data"]
    source = code(model["architecture"] or model["weights"])
    original = ", ".join(code(part, in_table=True) for part in (model["architecture"], model["weights"]) if part)
    phases = "\n".join(
        f"| {name} | {configuration[name]['epochs']} | {steps} | {configuration[name]['learning_rate']:g} | "
        f"{configuration[name]['weight_decay']:g} |"
        for name, steps in result["steps"].items()
    )
    accuracies = "\n".join(
        f"| {row['after']} | {row['epoch']:g} | {row['accuracy_top1']:.1%} | {row['accuracy_top5']:.1%} |"
        for row in result["accuracy"]
    )
    prompts = (
        f"""
`mask_prompts.safetensors` holds {clip.vision.depth} layers of mask prompts; open_clip ignores them, `load_clip` of
ovseg-pipeline uses them:

    from pipeline.clip import load_clip
    clip = load_clip("local-dir:path/to/this/directory")
    features = clip.vision(pixels, masks)
"""
        if clip.vision.depth
        else ""
    )
    if configuration["mode"] == "pretrain":
        title, tag = "Pretrained CLIP", "clip"
        origin = f"{source}, both towers trained contrastively on images and their texts (Radford et al. 2021)."
        shown = f"Images are shown whole, stretched to {clip.input.size}×{clip.input.size}."
    else:
        title, tag = "Mask-adapted CLIP", "mask-adapted-clip, open-vocabulary-segmentation"
        origin = (
            f"{source} adapted to masked image regions (Liang et al., Open-Vocabulary Semantic Segmentation with\n"
            "Mask-adapted CLIP, arXiv 2210.04150)."
        )
        shown = (
            f"Regions are shown with everything outside their mask blanked with `{configuration['data']['fill']}` "
            f"colour and stretched\nto {clip.input.size}×{clip.input.size}."
        )
    return f"""---
library_name: open_clip
tags: [{tag}]
---
# {title}

{origin}

    import open_clip
    model, _, preprocess = open_clip.create_model_and_transforms("local-dir:path/to/this/directory")
    tokenizer = open_clip.get_tokenizer("local-dir:path/to/this/directory")
{prompts}
{shown}

## Data
{code(result["dataset"])}: {result["training_samples"]} samples with {result["nouns"]} texts,
{result["held_out_samples"]} samples held out. Condition: {code(data["where"])}.{_weighed(data)}
SHA-256 of the manifests: `{result["manifest_sha256"]}`.

## Recipe
| | |
|---|---|
| original | {original}, sha256 {description["original"]["sha256"]} |
| mode | {configuration["mode"]} |
| loss | {loss["kind"]}, distillation {loss["distillation"]:g} |
| batch size | {configuration["batch_size"]} |
| un-masked share | {configuration["data"]["unmasked_share"]:g} |
| prompt templates | {model["templates"]} |
| weight averaging (WiSE-FT), share of the tuned | {configuration["full"]["wise_ft"]:g} |

| stage | epochs | steps | learning rate | weight decay |
|---|---|---|---|---|
{phases}

All settings and versions are in `config.yaml` of the run.

## Held-out regions nearest to their own noun, among all nouns of their dataset
| after | epoch | top 1 | top 5 |
|---|---|---|---|
{accuracies}

The model keeps the licence of its original; the regions come from images with licences of their own.
"""
