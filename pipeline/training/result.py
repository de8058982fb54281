"""What a run leaves: the adapted CLIP as open_clip loads it, its model card, and the metrics."""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import yaml

import schemas
from pipeline import storage
from pipeline.clip import Clip
from pipeline.clip.saving import save_clip
from pipeline.clip.template_choice import described_templates
from pipeline.dataset.layout import LEAKAGE
from pipeline.duplicates.known_leaks import training_leaks
from pipeline.duplicates.leakage import Leakage, write_leakage
from pipeline.escaping.markdown import code, escaped
from pipeline.retention.measuring import COUNTS
from pipeline.training.checkpoints import RunState
from pipeline.training.phases import Phase
from pipeline.training.replay import Replay
from pipeline.training.retention import retention_summary, retention_table
from pipeline.training.run_directory import RunDirectory
from pipeline.training.samples import Samples


def write_result(
    directory: RunDirectory,
    clip: Clip,
    samples: Samples,
    phases: list[Phase],
    state: RunState,
    replay: Replay | None = None,
    leaks: Sequence[Leakage] = (),
) -> dict:
    """Write `metrics.parquet`, `retention.parquet` if that was measured, `model/` and, last, `result.json`, which says
    that the run is complete.

    Args:
        clip: the adapted one.
        state: at the end.
        replay: the images that were replayed, if some were.
        leaks: what is known of copies of images that one evaluates on; it is copied, for evaluations of the CLIP.

    Returns:
        the content of `result.json`.
    """
    description = yaml.safe_load(storage.read_bytes(directory.config))
    storage.write_table(pa.Table.from_pylist(state.history, schemas.METRICS), directory.metrics)
    retention = retention_summary(state.history)
    if retention:
        storage.write_table(retention_table(state.history), directory.retention)
    result = {
        "fingerprint": description["fingerprint"],
        "dataset": samples.dataset,
        "manifest_sha256": samples.manifest_sha256,
        "skipped_shards": samples.skipped_shards,
        "training_samples": len(samples.train),
        "held_out_samples": len(samples.held_out),
        "nouns": len(samples.nouns),
        "selection": samples.selection and samples.selection.described(),
        "steps": {phase.name: phase.steps for phase in phases},
        "accuracy": list(_accuracies(state.history)),
        **({"retention": retention} if retention else {}),
    }
    if replay:
        reasons = Counter(reason.partition(":")[0] for reason in state.unreadable.values())
        result["replay"] = {
            "dataset": replay.dataset,
            "images": len(replay),
            "unreadable": dict(sorted(reasons.items())),
        }
    if leaks:
        keys = samples.table["key"].filter(pc.invert(samples.table["held_out"]))
        result["leakage"] = training_leaks(leaks, keys, samples.manifest_sha256)
        for leak in leaks:
            write_leakage(leak, directory.path(LEAKAGE))
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


def _moved(configuration: dict, result: dict) -> str:
    """Rows of the recipe that say what moved, and what was replayed, where that is not the paper's; `config.yaml` of an
    older version has none of these keys."""
    rows = []
    for key, tower, usual in (("full", "image tower", "all"), ("text", "text tower", "frozen")):
        section = configuration.get(key, {})
        if (found := section.get("parameters", usual)) != usual:
            details = {
                "last_blocks": f", {section['last_blocks']}",
                "lora": f", rank {section['lora']['rank']}, alpha {section['lora']['alpha']:g}, "
                f"{' '.join(section['lora']['matrices'])}",
            }
            rows.append(f"| moved of the {tower} | {found}{details.get(found, '')} |")
    if "replay" in result:
        images = f"{result['replay']['images']} images of {code(result['replay']['dataset'], in_table=True)}"
        rows.append(f"| replay, share of each batch | {configuration['replay']['share']:g}, {images} |")
    return "".join(f"{row}\n" for row in rows)


def _weighed(data: dict) -> str:
    """What else says which pairs count; `config.yaml` of an older version has none of these keys."""
    weight = f" Weight: {code(data['weight'])}." if data.get("weight") else ""
    return weight + (f" Fold {data['fold']} of {data['folds']}." if data.get("fold") is not None else "")


def _leaks(result: dict) -> str:
    """What is known of copies of images that one evaluates on."""
    return "".join(
        f"\nOf {leak['images']} images of {code(leak['against'])}, {leak['copies']} have copies among the mined ones; "
        f"{leak['training_pairs']} training samples were cut from those.\n"
        for leak in result.get("leakage", {}).values()
    )


def _retention(result: dict) -> str:
    """What the model still knows of whole images, if that was measured."""
    if not (moments := result.get("retention")):
        return ""
    rows = "\n".join(
        f"| {moment['after']} | {moment['epoch']:g} | {code(name, in_table=True)} | "
        + ", ".join(f"{measured} {value:.1%}" for measured, value in scores.items() if measured not in COUNTS)
        + " |"
        for moment in moments
        for name, scores in moment["sets"].items()
    )
    return f"""
## Whole images
| after | epoch | images | |
|---|---|---|---|
{rows}
"""


def _card(result: dict, description: dict, clip: Clip) -> str:
    configuration = description["configuration"]
    model, loss, data = configuration["model"], configuration["loss"], configuration["data"]
    source = code(model["architecture"] or model["weights"])
    hard_negatives = f", {loss['hard_negatives']} hard negatives" if loss.get("hard_negatives") else ""
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
{_leaks(result)}
## Recipe
| | |
|---|---|
| original | {original}, sha256 {description["original"]["sha256"]} |
| mode | {configuration["mode"]} |
| loss | {loss["kind"]}, distillation {loss["distillation"]:g}{hard_negatives} |
| batch size | {configuration["batch_size"]} |
| un-masked share | {configuration["data"]["unmasked_share"]:g} |
{_moved(configuration, result)}| prompt templates | {escaped(described_templates(model["templates"]))} |
| weight averaging (WiSE-FT), share of the tuned | {configuration["full"]["wise_ft"]:g} |

| stage | epochs | steps | learning rate | weight decay |
|---|---|---|---|---|
{phases}

All settings and versions are in `config.yaml` of the run.

## Held-out regions nearest to their own noun, among all nouns of their dataset
| after | epoch | top 1 | top 5 |
|---|---|---|---|
{accuracies}
{_retention(result)}
The model keeps the licence of its original; the regions come from images with licences of their own.
"""
