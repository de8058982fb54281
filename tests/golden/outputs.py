"""Small outputs of every job, as what of them has to be the same on every machine.

Hashes are of bytes and whole numbers. Scores may differ between processors in their last digits, so they are not
hashed: their means are numbers beside the hashes, to be compared with a tolerance. Of the files that hold scores (tars,
Parquet) the members and rows are hashed without them.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.captions import CaptionsConfig
from pipeline.clip import ClipConfig
from pipeline.configuration.recipe import Kind
from pipeline.dataset.shards import ShardsConfig
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets import DatasetConfig
from pipeline.evaluation.run import evaluate
from pipeline.microworld.pair_shards import Pair, describe_pairs, write_pairs
from pipeline.mining.config import MineConfig, ResourcesConfig
from pipeline.mining.run import mine
from pipeline.proposals import ProposalsConfig
from pipeline.segmentation.job_config import SegmentJobConfig
from pipeline.segmentation.run import segment
from pipeline.training.run import train
from tests.golden.inputs import CLASSES
from tests.training.configs import train_config

Found = dict[str, str | float]
"""By name: a hash, or a number that is compared with a tolerance."""

_PROPOSALS = ProposalsConfig(backend="segments", min_area=0.01, max_proposals=12)


def mined(inputs: Path, output: Path) -> Found:
    """Mine the pictures."""
    mine(
        MineConfig(
            captions=CaptionsConfig(format="coco", path=str(inputs / "captions.json"), images=str(inputs / "images")),
            output=str(output),
            captions_per_image="all",
            clip=_clip(inputs),
            proposals=_PROPOSALS,
            shards=ShardsConfig(images_per_shard=3),
            resources=ResourcesConfig(clip_workers=1, proposal_workers=1),
            max_reject_fraction=1.0,
        )
    )
    found: Found = {}
    for name in ("captions", "manifests", "candidates", "rejects"):
        tables = [pq.read_table(path) for path in sorted((output / name).glob("*.parquet"))]
        found |= _rows(name, pa.concat_tables(tables), inputs)
    found |= _rows("vocabulary", pq.read_table(output / "vocabulary.parquet").drop_columns("embedding"), inputs)
    for suffix in ("jpg", "mask.png", "txt"):
        found[f"tars: {suffix}"] = _sha256(_members(output, suffix))
    found["tars: keys"] = _sha256(name.encode() for name, _ in _in_tars(output))
    return found


def trained(inputs: Path, output: Path) -> Found:
    """Adapt the CLIP to the regions of the label images, for a few steps."""
    pairs = []
    for path in sorted((inputs / "labels").iterdir()):
        labels_HW, image_HW3 = np.array(Image.open(path)), np.array(Image.open(inputs / "images" / path.name))
        pairs += [Pair(path.stem, image_HW3, labels_HW == label, text) for label, text in enumerate(CLASSES)]
    describe_pairs(output / "pairs", 1, len(pairs))
    write_pairs(output / "pairs", 0, pairs)
    config = train_config(output / "pairs", f"local-dir:{inputs / 'clip'}", output / "run", batch_size=4, log_every=1)
    train(replace(config, mask_prompt=replace(config.mask_prompt, depth=2)))
    metrics = pq.read_table(output / "run" / "metrics.parquet")
    steps = [f"{row['stage']} {row['step']}" for row in metrics.select(["stage", "step"]).to_pylist()]
    found: Found = {"steps": _sha256(step.encode() for step in steps)}
    found["samples"] = _rows("", pq.read_table(output / "run" / "samples.parquet"), output)[" rows"]
    for step, loss in zip(steps, metrics["loss"].to_pylist(), strict=True):
        if loss is not None:
            found[f"loss at {step}"] = loss
    return found


def evaluated(inputs: Path, output: Path) -> Found:
    """Evaluate the CLIP on the pictures and their labels."""
    result = evaluate(
        EvaluateConfig(
            dataset=DatasetConfig(kind="folder", root=str(inputs)),
            output=str(output),
            clip=_clip(inputs),
            proposals=_PROPOSALS,
            workers=1,
        )
    )
    found: Found = {f"mIoU, {branch}": scores["miou"] for branch, scores in result["scores"].items()}
    for name in ("confusion", "regions"):
        found |= _rows(name, pq.read_table(output / name / "000000.parquet"), inputs)
    return found


def segmented(inputs: Path, output: Path) -> Found:
    """Segment the pictures by the classes of the labels."""
    segment(
        SegmentJobConfig(
            images=[str(inputs / "images")],
            classes=list(CLASSES),
            output=str(output),
            clip=_clip(inputs),
            proposals=_PROPOSALS,
            workers=1,
        )
    )
    labels = (np.array(Image.open(path)) for path in sorted((output / "labels").glob("*.png")))
    found: Found = {"label maps": _sha256(label.tobytes() for label in labels)}
    found["classes.json"] = _sha256([(output / "classes.json").read_bytes()])
    rejects = json.loads((output / "rejects.json").read_text())
    found["rejects"] = _sha256(reject["reason"].encode() for reject in rejects)
    return found


OUTPUTS: dict[Kind, Callable[[Path, Path], Found]] = {
    "mine": mined, "train": trained, "evaluate": evaluated, "segment": segmented,
}  # fmt: skip
"""By kind: makes an output of the inputs in a folder, on the Ray cluster that this process is connected to."""


def _clip(inputs: Path) -> ClipConfig:
    return ClipConfig(architecture=f"local-dir:{inputs / 'clip'}", weights=None, batch_size=8, threads=1)


def _rows(name: str, table: pa.Table, folder: Path) -> Found:
    """The hash of the rows without their scores, and the mean of every score. Paths in `folder` are relative to it."""
    scores = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    rows = table.drop_columns([*scores, *({"crc32"} & set(table.column_names))]).to_pylist()
    texts = [json.dumps(row, sort_keys=True, default=str).replace(str(folder), "") for row in rows]
    found: Found = {f"{name} rows": _sha256(text.encode() for text in texts)}
    for score in scores:
        if values := table[score].drop_null().to_pylist():
            found[f"{name} {score}, mean"] = float(np.mean(values))
    return found


def _in_tars(output: Path) -> Iterable[tuple[str, bytes]]:
    for path in sorted((output / "shards").glob("*.tar")):
        with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
            for member in tar:
                yield member.name, tar.extractfile(member).read()


def _members(output: Path, suffix: str) -> Iterable[bytes]:
    return (content for name, content in _in_tars(output) if name.partition(".")[2] == suffix)


def _sha256(parts: Iterable[bytes]) -> str:
    """Of parts one after the other, with their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
